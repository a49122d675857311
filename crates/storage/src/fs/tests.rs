//! The engine on a real disk: the contract, and what only a file system shows.

mod contract {
    use std::sync::Arc;

    use crate::{Storage, fs::FsStorage};

    contract_tests!(async || {
        let directory = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).unwrap());
        (storage, directory)
    });
}
