//! Byte ranges of downloads and of chunks.

use wharf_oci::{ChunkRange, ChunkRangeError, MAX_RANGES, RangeRequest, parse_range};

const MAX: u64 = u64::MAX;

#[test]
fn one_range_is_understood() {
    use RangeRequest::{One, Unsatisfiable, Whole};
    let table = [
        ("bytes=0-0", 10, One(0..1)),
        ("bytes=0-9", 10, One(0..10)),
        ("bytes=0-", 10, One(0..10)),
        ("bytes=3-5", 10, One(3..6)),
        ("bytes=9-", 10, One(9..10)),
        ("bytes=5-100", 10, One(5..10)),
        ("bytes=-1", 10, One(9..10)),
        ("bytes=-10", 10, One(0..10)),
        ("bytes=-11", 10, One(0..10)),
        ("Bytes=1-2", 10, One(1..3)),
        ("  bytes=1-2\t", 10, One(1..3)),
        ("bytes= 1-2 ", 10, One(1..3)),
        ("bytes=,1-2,,", 10, One(1..3)),
        ("bytes=007-008", 10, One(7..9)),
        // Beyond the end, and beyond all numbers.
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=10-10", 10, Unsatisfiable),
        ("bytes=11-12", 10, Unsatisfiable),
        ("bytes=-0", 10, Unsatisfiable),
        ("bytes=5-4", 10, Unsatisfiable),
        ("bytes=500-0", 10, Unsatisfiable),
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=0-0", 0, Unsatisfiable),
        ("bytes=-0", 0, Unsatisfiable),
        ("bytes=-5", 0, Whole),
        ("bytes=0-18446744073709551615", 10, One(0..10)),
        ("bytes=0-18446744073709551615", MAX, One(0..MAX)),
        ("bytes=0-99999999999999999999999999", 10, One(0..10)),
        ("bytes=18446744073709551615-", MAX, Unsatisfiable),
        ("bytes=18446744073709551614-", MAX, One(MAX - 1..MAX)),
        ("bytes=99999999999999999999999999-", 10, Unsatisfiable),
        (
            "bytes=99999999999999999999998-99999999999999999999999",
            10,
            Unsatisfiable,
        ),
        ("bytes=-18446744073709551615", MAX, One(0..MAX)),
        ("bytes=-99999999999999999999999999", 10, One(0..10)),
    ];
    for (header, size, expected) in table {
        assert_eq!(parse_range(header, size), expected, "{header} of {size}");
    }
}

#[test]
fn what_is_not_understood_asks_for_everything() {
    let too_many = format!("bytes={}", vec!["0-0"; MAX_RANGES + 1].join(","));
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=0x1-2",
        "bytes =1-2",
        "items=1-2",
        "octets=0-",
        "bytes 1-2",
        "bytes=1-2;",
        "bytes=１-２",
        "bytes=1-2,x",
        "bytes=1-2,3",
        "bytes=1-2,-",
        &too_many,
    ] {
        assert_eq!(parse_range(header, 10), RangeRequest::Whole, "{header}");
    }
}

#[test]
fn small_ranges_are_right_to_the_byte() {
    for size in 0..5 {
        for first in 0..6 {
            for last in 0..6 {
                let asked: Vec<u64> = (0..size).filter(|byte| (first..=last).contains(byte)).collect();
                let expected = match asked.as_slice() {
                    [] => RangeRequest::Unsatisfiable,
                    [start, ..] => RangeRequest::One(*start..asked[asked.len() - 1] + 1),
                };
                assert_eq!(
                    parse_range(&format!("bytes={first}-{last}"), size),
                    expected,
                    "{first}-{last} of {size}"
                );
            }
        }
    }
}

#[test]
fn several_ranges_are_understood() {
    use RangeRequest::{Many, One, Unsatisfiable, Whole};
    let table = [
        ("bytes=0-0,2-2", 10, Many(vec![0..1, 2..3])),
        ("bytes= 0-0 ,, -1,", 10, Many(vec![0..1, 9..10])),
        // In the order of the request.
        ("bytes=8-,0-1,4-5", 10, Many(vec![8..10, 0..2, 4..6])),
        // Touching ranges stay apart, overlapping ones become one at the place of the first.
        ("bytes=1-2,3-4", 10, Many(vec![1..3, 3..5])),
        ("bytes=7-8,0-3,2-4", 10, Many(vec![7..9, 0..5])),
        ("bytes=2-4,7-8,0-3", 10, Many(vec![0..5, 7..9])),
        ("bytes=0-1,8-9,0-9", 10, One(0..10)),
        ("bytes=0-9,3-4", 10, One(0..10)),
        ("bytes=1-3,1-3", 10, One(1..4)),
        // Of those beyond the end nothing is sent.
        ("bytes=0-0,10-", 10, One(0..1)),
        ("bytes=99-,0-0,-0,5-99", 10, Many(vec![0..1, 5..10])),
        ("bytes=99-,99-", 10, Unsatisfiable),
        ("bytes=-0,10-", 10, Unsatisfiable),
        ("bytes=0-0,0-0", 0, Unsatisfiable),
        ("bytes=0-0,5-4", 10, Unsatisfiable),
        ("bytes=0-0,-1", 0, Whole),
        ("bytes=0-1,99999999999999999999999-", MAX, One(0..2)),
    ];
    for (header, size, expected) in table {
        assert_eq!(parse_range(header, size), expected, "{header} of {size}");
    }
    let most: Vec<String> = (0..MAX_RANGES).map(|n| format!("{0}-{0}", 2 * n)).collect();
    let header = format!("bytes={}", most.join(","));
    let Many(ranges) = parse_range(&header, MAX) else {
        panic!("as many ranges as are allowed");
    };
    assert_eq!(ranges.len(), MAX_RANGES);
}

#[test]
fn a_chunk_is_read_in_every_dialect() {
    let table = [
        ("0-0", 0, 1),
        ("5-9", 5, 10),
        (" 5-9 ", 5, 10),
        ("bytes 5-9/10", 5, 10),
        ("bytes 5-9/11", 5, 10),
        ("bytes 5-9/*", 5, 10),
        ("BYTES  5-9/*", 5, 10),
        ("bytes 5-9/99999999999999999999999", 5, 10),
        ("bytes 5-9", 5, 10),
        ("bytes=5-9", 5, 10),
        ("bytes= 5-9/10", 5, 10),
        ("5-9/10", 5, 10),
        ("5-9/*", 5, 10),
        ("0-9223372036854775806", 0, i64::MAX.unsigned_abs()),
        // No bytes.
        ("0--1", 0, 0),
        ("bytes 0--1/*", 0, 0),
        ("0--1/0", 0, 0),
        ("3000-2999", 3000, 3000),
        ("bytes 3000-2999/3000", 3000, 3000),
    ];
    for (header, start, end) in table {
        let chunk: ChunkRange = header.parse().unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(chunk, ChunkRange { start, end }, "{header}");
        assert_eq!(chunk.len(), end - start);
        assert_eq!(chunk.is_empty(), start == end);
        assert_eq!(chunk.to_string().parse(), Ok(chunk));
    }
    assert_eq!(ChunkRange { start: 5, end: 10 }.to_string(), "5-9");
    assert_eq!(ChunkRange { start: 0, end: 0 }.to_string(), "0--1");
}

#[test]
fn what_is_wrong_with_a_chunk_is_said() {
    for header in [
        "",
        "-",
        "5",
        "5-",
        "-5",
        "a-b",
        "bytes */10",
        "bytes 5-9/",
        "bytes 5-9/x",
        "bytes",
        "bytes=",
        "5--1-",
        "0--2",
        "--1",
        "items 5-9/10",
        "5 - 9",
        "+5-9",
        "5-9-9",
        "bytes5-9/10",
        "bytes 5-9/10/11",
        "bytes 5-9/ 10",
    ] {
        let expected =
            format!("`Content-Range` of a chunk is written `5-9` or `bytes 5-9/10`, not `{header}`");
        assert_eq!(header.parse::<ChunkRange>().unwrap_err().to_string(), expected);
    }
    let table = [
        (
            "9-5",
            ChunkRangeError::Reversed {
                start: 9,
                end: "5".into(),
            },
        ),
        (
            "1--1",
            ChunkRangeError::Reversed {
                start: 1,
                end: "-1".into(),
            },
        ),
        ("bytes 5-4/4", ChunkRangeError::BeyondTotal { end: 4, total: 4 }),
        ("bytes 5-9/9", ChunkRangeError::BeyondTotal { end: 9, total: 9 }),
        ("bytes 0-0/0", ChunkRangeError::BeyondTotal { end: 0, total: 0 }),
        ("0-9223372036854775807", ChunkRangeError::TooLarge),
        ("0-18446744073709551615", ChunkRangeError::TooLarge),
        ("0-99999999999999999999999", ChunkRangeError::TooLarge),
        (
            "99999999999999999999998-99999999999999999999999",
            ChunkRangeError::TooLarge,
        ),
    ];
    for (header, error) in table {
        assert_eq!(header.parse::<ChunkRange>(), Err(error), "{header}");
    }
    let messages = [
        (
            "9-5",
            "`Content-Range` ends at byte 5, before it starts at byte 9",
        ),
        (
            "bytes 5-9/9",
            "`Content-Range` ends at byte 9 of only 9; the last byte of n is n - 1",
        ),
        (
            "0-9223372036854775807",
            "`Content-Range` lies beyond the largest possible blob, 2^63 - 1 bytes",
        ),
    ];
    for (header, message) in messages {
        assert_eq!(header.parse::<ChunkRange>().unwrap_err().to_string(), message);
    }
}
