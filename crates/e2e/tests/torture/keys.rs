//! Changes of the root key while everything goes on, as `docs/operations/running.md` has operators do them. Whom is told, and
//! what is started again, is the cluster's business.

use std::path::{Path, PathBuf};

/// The stages of a change, each followed by a restart of every node, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Every node has the new key, and none makes anything with it.
    Add,
    /// The new key makes everything new, and what is there is sealed with it.
    Switch,
    /// The old key is gone, and with it what can only be checked with it.
    Retire,
}

/// The root keys of a run.
pub(crate) struct Keys {
    folder: PathBuf,
    /// The key that made everything before the change.
    present: u32,
    stage: Option<Stage>,
}

impl Keys {
    /// The first key, which a development server made.
    pub(crate) fn first(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), present: 1, stage: None }
    }

    /// The file of the key that the next change brings.
    pub(crate) fn next_file(&self) -> PathBuf {
        self.file(self.present + 1)
    }

    fn file(&self, id: u32) -> PathBuf {
        self.folder.join(if id == 1 { "root.key".to_owned() } else { format!("root-{id}.key") })
    }

    /// Goes on to this stage.
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.stage = Some(stage);
    }

    /// The change is over.
    pub(crate) fn settle(&mut self) {
        assert_eq!(self.stage.take(), Some(Stage::Retire), "the stages come in their order");
        self.present += 1;
    }

    /// The lines of `[keys.files]` in a configuration, and the table of keys after it.
    pub(crate) fn lines(&self) -> String {
        let (old, new) = (self.present, self.present + 1);
        let line = |id| format!("{id} = \"{}\"\n", self.file(id).display());
        match self.stage {
            None => line(old),
            Some(Stage::Add) => format!("{}{}[keys]\nseal_with = {old}", line(old), line(new)),
            Some(Stage::Switch) => line(old) + &line(new),
            Some(Stage::Retire) => format!("{}[keys]\nretired = [{old}]", line(new)),
        }
    }
}
