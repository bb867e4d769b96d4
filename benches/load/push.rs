//! The repeated request: a push of a recorded size. Each one differs in its number, its repository, its commits' hashes
//! and its signature. These are at fixed positions, so that sending one only patches a buffer. Signatures are computed
//! before the measurement.

use std::ops::Range;

use hookbell::source::{Provider, provider};
use secrecy::SecretString;
use serde_json::Value;

/// Path of Hookbell's source.
pub(crate) const HOOKS: &str = "/hooks/bitbucket";

/// Secret that signs requests.
pub(crate) const SECRET: &str = "a secret for the load alone";

/// Word before a request's number, which identifies the request of a message.
pub(crate) const WORD: &[u8] = b"ledger";

/// Number of digits of a number.
pub(crate) const DIGITS: usize = 8;

/// Placeholders of a number and a lane. The placeholder of a hash is as many `@`, then its index.
const NUMBER: &str = "########";
const LANE: &str = "~~";
const HASHES: usize = 4;

/// Number of digits of a signature; its placeholder is as many `^`.
const SIGNATURE: usize = 64;

/// Size of a body.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    /// 12.7 KB: a recorded push of three commits.
    Recorded,
    /// 2 KB: for a large store.
    Small,
}

/// Prepared requests: signed pushes with these numbers, for these lanes in turn.
pub(crate) struct Supply {
    /// A whole request, with placeholders.
    wire: Vec<u8>,
    /// Position of the body.
    body: usize,
    patches: Vec<(usize, Patch)>,
    lanes: Range<usize>,
    numbers: Range<usize>,
    signatures: Vec<[u8; SIGNATURE]>,
}

#[derive(Clone, Copy)]
enum Patch {
    Number,
    Lane,
    Hash(usize),
    Signature,
}

impl Supply {
    /// Prepares requests to a path.
    pub(crate) fn new(size: Size, path: &str, lanes: Range<usize>, numbers: Range<usize>) -> Self {
        let (head, body) = template(size, path);
        let wire = [head.as_bytes(), body.as_bytes()].concat();
        let mut patches = vec![];
        let mut find = |marker: &str, patch: Patch| {
            let found = wire.windows(marker.len()).enumerate().filter(|(_, bytes)| *bytes == marker.as_bytes());
            patches.extend(found.map(|(at, _)| (at, patch)));
        };
        find(NUMBER, Patch::Number);
        find(LANE, Patch::Lane);
        find(&"^".repeat(SIGNATURE), Patch::Signature);
        (0..HASHES).for_each(|n| find(&hash_marker(n), Patch::Hash(n)));
        let mut supply = Self { wire, body: head.len(), patches, lanes, numbers, signatures: vec![] };
        supply.sign();
        supply
    }

    /// Creates a buffer for [`fill`](Self::fill).
    pub(crate) fn blank(&self) -> Vec<u8> {
        self.wire.clone()
    }

    /// Number of the `n`th request. Numbers repeat from the start, for scenarios that measure only a rate.
    pub(crate) fn number(&self, n: usize) -> usize {
        self.numbers.start + n % self.numbers.len()
    }

    /// All numbers.
    pub(crate) fn numbers(&self) -> Range<usize> {
        self.numbers.clone()
    }

    /// Size of a body in bytes.
    pub(crate) fn body_size(&self) -> usize {
        self.wire.len() - self.body
    }

    /// Writes the request of this number into a buffer.
    pub(crate) fn fill(&self, wire: &mut [u8], number: usize) {
        self.patch(wire, number);
        for (at, _) in self.patches.iter().filter(|(_, patch)| matches!(patch, Patch::Signature)) {
            wire[*at..*at + SIGNATURE].copy_from_slice(&self.signatures[number - self.numbers.start]);
        }
    }

    fn patch(&self, wire: &mut [u8], n: usize) {
        for (at, patch) in &self.patches {
            match patch {
                Patch::Number => decimal(&mut wire[*at..*at + DIGITS], n),
                Patch::Lane => decimal(&mut wire[*at..*at + LANE.len()], self.lanes.start + n % self.lanes.len()),
                Patch::Hash(index) => hash(&mut wire[*at..*at + 40], n * HASHES + index),
                Patch::Signature => {}
            }
        }
    }

    fn sign(&mut self) {
        let mut signatures = vec![[0; SIGNATURE]; self.numbers.len()];
        let share = signatures.len().div_ceil(std::thread::available_parallelism().map_or(1, usize::from)).max(1);
        std::thread::scope(|scope| {
            for (n, share_of) in signatures.chunks_mut(share).enumerate() {
                let supply = &*self;
                scope.spawn(move || {
                    let (mut wire, secret) = (supply.blank(), SecretString::from(SECRET));
                    for (i, signature) in share_of.iter_mut().enumerate() {
                        supply.patch(&mut wire, supply.numbers.start + n * share + i);
                        let (_, value) = (bitbucket().sign)(&secret, &wire[supply.body..]);
                        signature.copy_from_slice(value.trim_start_matches("sha256=").as_bytes());
                    }
                });
            }
        });
        self.signatures = signatures;
    }
}

fn bitbucket() -> &'static Provider {
    provider("bitbucket-cloud").unwrap()
}

/// Head and body with placeholders.
fn template(size: Size, path: &str) -> (String, String) {
    let sample = bitbucket().sample("push").unwrap();
    let mut value: Value = serde_json::from_str(sample.body).unwrap();
    let bytes = match size {
        Size::Recorded => {
            ["approve", "patch", "statuses"].iter().for_each(|name| remove(&mut value, name));
            12_700
        }
        Size::Small => {
            value["push"]["changes"][0]["commits"].as_array_mut().unwrap().truncate(1);
            ["links", "summary", "user", "owner", "merge_strategies", "sync_strategies", "project"]
                .iter()
                .for_each(|name| remove(&mut value, name));
            2_048
        }
    };
    let change = &mut value["push"]["changes"][0];
    let subject = format!("Fix the login's timeout, {}{NUMBER}", std::str::from_utf8(WORD).unwrap());
    change["commits"][0]["message"] = format!("{subject}\n").into();
    change["new"]["target"]["message"] = format!("{subject}\n").into();
    let commits = change["commits"].as_array().unwrap();
    let mut hashes: Vec<String> = commits.iter().map(|commit| commit["hash"].as_str().unwrap().to_owned()).collect();
    hashes.push(change["old"]["target"]["hash"].as_str().unwrap().to_owned());
    let uuid = value["repository"]["uuid"].as_str().unwrap().trim_matches(['{', '}']).to_owned();
    // The longer message is that of the last commit, which no template shows.
    let last = hashes.len() - 2;
    let written = |value: &Value| {
        let mut text = value.to_string().replace("acme/api", &format!("acme/lane{LANE}"));
        text = text.replace(&uuid, &format!("{}{LANE}", &uuid[..uuid.len() - LANE.len()]));
        hashes.iter().enumerate().fold(text, |text, (n, hash)| text.replace(hash, &hash_marker(n)))
    };
    let missing = bytes - written(&value).len();
    let message = &mut value["push"]["changes"][0]["commits"][last]["message"];
    let words = "It was read of the request's own clock, which is the client's, and those are wrong now and then. ";
    *message = format!("{}{}", message.as_str().unwrap(), &words.repeat(missing / words.len() + 1)[..missing]).into();
    let body = written(&value);
    assert_eq!(body.len(), bytes);

    let headers = (bitbucket().headers)(sample.key, &format!("00000000-0000-4000-8000-0000{NUMBER}"));
    let (signature, _) = (bitbucket().sign)(&SECRET.into(), b"");
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n");
    for (name, value) in &headers {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head += &format!("{signature}: sha256={}\r\n\r\n", "^".repeat(SIGNATURE));
    (head, body)
}

/// Removes a key from a value, at any depth.
fn remove(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            map.remove(name);
            map.values_mut().for_each(|value| remove(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, name)),
        _ => {}
    }
}

fn hash_marker(n: usize) -> String {
    format!("{n:@>40}")
}

fn decimal(digits: &mut [u8], mut n: usize) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

/// Writes a hash like a commit's: 40 hexadecimal digits, spread over the whole range of an index.
fn hash(digits: &mut [u8], n: usize) {
    for (part, chunk) in digits.chunks_mut(16).enumerate() {
        // SplitMix64's finalizer, a bijection.
        let mut bits = (n as u64 * 3 + part as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        for digit in chunk {
            *digit = b"0123456789abcdef"[(bits & 15) as usize];
            bits >>= 4;
        }
    }
}
