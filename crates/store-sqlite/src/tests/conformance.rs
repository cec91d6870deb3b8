//! R69: the suite that defines a store, on SQLite.

use super::{folder, open};
use countersign_testkit::conformance::StoreUnderTest;

async fn fresh() -> StoreUnderTest {
    let (folder, path) = folder();
    open(&path, 1).await.keeping(folder)
}

countersign_testkit::store_conformance!(fresh);
