//! `countersign keys new`: a fresh root key. Where keys are read and judged is `config::secret_file`.

use super::print;
use crate::cli::NewKeyArgs;
use crate::failure::Failure;
use crate::root_key;

/// Makes a key and writes or prints it.
pub(super) fn new(args: &NewKeyArgs) -> Result<(), Failure> {
    let text = root_key::draw();
    let Some(path) = &args.out else {
        print(text.expose());
        return Ok(());
    };
    root_key::write_new(path, &text).map_err(Failure::io(format!("writing {}", path.display())))?;
    print(&format!(
        "wrote a root key to {}; keep a copy where the database's backups are not\n",
        path.display()
    ));
    Ok(())
}
