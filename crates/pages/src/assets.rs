//! Style sheets, modules and icons, embedded as they are and compressed.

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// The bytes as they were written.
    pub bytes: &'static [u8],
    /// The bytes compressed with gzip.
    pub gzip: &'static [u8],
    /// The bytes compressed with brotli.
    pub brotli: &'static [u8],
    /// Media type.
    pub media_type: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The asset at `path` below the folder of assets, `{HASH}/{name}`. A path with another hash is one of another version, and has none.
pub fn get(path: &str) -> Option<&'static Asset> {
    let (hash, name) = path.split_once('/')?;
    let found = ASSETS.iter().find(|(candidate, _)| *candidate == name);
    found.filter(|_| hash == HASH).map(|(_, asset)| asset)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_asset_is_found_below_the_hash_alone() {
        let asset = get(&format!("{HASH}/app.js")).unwrap();
        assert_eq!(asset.media_type, "text/javascript; charset=utf-8");
        for path in ["app.js", "0000000000000000/app.js", "", "/app.js"] {
            assert!(get(path).is_none(), "{path}");
        }
        assert!(get(&format!("{HASH}/../app.js")).is_none());
    }

    #[test]
    fn compressed_assets_are_smaller_and_have_the_same_bytes() {
        for (name, asset) in ASSETS {
            let mut bytes = Vec::new();
            GzDecoder::new(asset.gzip).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, asset.bytes, "{name}");
            assert!(asset.gzip.len() < asset.bytes.len(), "{name}");
            assert!(asset.brotli.len() < asset.gzip.len(), "{name}");
        }
    }

    #[test]
    fn modules_and_icons_load_nothing_from_elsewhere() {
        for (name, asset) in ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let is_namespace = |line: &str| line.contains("http://www.w3.org/");
            let elsewhere = text
                .lines()
                .find(|line| line.contains("://") && !is_namespace(line));
            assert_eq!(elsewhere, None, "{name}");
        }
    }
}
