//! The parts of a certificate that its signature covers, byte for byte (X.690, DER).

/// A signed structure: `SEQUENCE { content, AlgorithmIdentifier, BIT STRING }` (RFC 5280, section 4.1).
pub(super) struct Signed<'a> {
    /// The bytes that are signed.
    pub(super) content: &'a [u8],
    /// Content of the identifier of the signature's algorithm.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// A public key: `SEQUENCE { AlgorithmIdentifier, BIT STRING }`.
pub(super) struct PublicKey<'a> {
    /// Content of the identifier of the key's algorithm.
    pub(super) algorithm: &'a [u8],
    pub(super) key: &'a [u8],
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (outer, _rest) = element(der)?;
        let (content, rest) = element(outer.content)?;
        let (algorithm, rest) = element(rest)?;
        Some(Self {
            content: content.whole,
            algorithm: algorithm.content,
            signature: bits(rest)?,
        })
    }
}

impl<'a> PublicKey<'a> {
    pub(super) fn parse(info: &'a [u8]) -> Option<Self> {
        let (outer, _rest) = element(info)?;
        let (algorithm, rest) = element(outer.content)?;
        Some(Self {
            algorithm: algorithm.content,
            key: bits(rest)?,
        })
    }
}

/// The content of a `BIT STRING` of whole bytes.
fn bits(der: &[u8]) -> Option<&[u8]> {
    match element(der)?.0.content {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

/// The first element, and what follows it. Certificates have no element of 16 MiB or more.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, header) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x83 => {
            let count = usize::from(first - 0x80);
            let bytes = rest.get(..count)?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, 2 + count)
        }
        _ => return None,
    };
    let (whole, rest) = der.split_at_checked(header + length)?;
    let content = &whole[header..];
    Some((Element { whole, content }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_length_are_split() {
        for length in [0_usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let bytes = u32::try_from(length).unwrap().to_be_bytes();
            let mut der = vec![0x30];
            match length {
                0..=127 => der.push(bytes[3]),
                128..=255 => der.extend([0x81, bytes[3]]),
                256..=65_535 => der.extend([0x82, bytes[2], bytes[3]]),
                _ => der.extend([0x83, bytes[1], bytes[2], bytes[3]]),
            }
            der.resize(der.len() + length, 7);
            let end = der.len();
            der.extend([5, 0]);
            let (found, rest) = element(&der).unwrap();
            assert_eq!(
                (found.whole.len(), found.content.len(), rest),
                (end, length, &[5, 0][..])
            );
            assert!(element(&der[..end - 1]).is_none() || length == 0);
        }
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x82, 1],
            &[0x30, 0x84, 0, 0, 0, 1, 1],
        ] {
            assert!(element(bad).is_none(), "{bad:?}");
        }
    }
}
