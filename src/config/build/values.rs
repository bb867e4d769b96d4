//! Parsers for value types that several tables use.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;
use regex::Regex;

use crate::chat::Pace;
use crate::config::problems::ConfigProblem;
use crate::config::section::{Section, Taken};
use crate::message::Style as MessageStyle;
use crate::pattern::{Patterns, Style};
use crate::problem::nearest;

/// A duration: a whole number of days, hours or minutes.
pub(super) fn duration(section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    let taken = section.string(key)?;
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("min", 60)];
    let of = |(unit, seconds): (&str, u64)| {
        taken.value.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(seconds)
    };
    let seconds = units.into_iter().find_map(of).filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        section.note(&ConfigProblem::InvalidDuration(taken.value), taken.place);
    }
    seconds.map(Duration::from_secs)
}

/// A network or a single IP address.
pub(super) fn network(section: &Section<'_>, text: &Taken<String>, words: &[&'static str]) -> Option<IpNet> {
    let network = text.value.parse::<IpNet>().or_else(|_| text.value.parse::<std::net::IpAddr>().map(IpNet::from));
    // Some proxies and systems write IPv4 addresses as IPv4-mapped IPv6; they are converted to IPv4.
    network.ok().map(unmapped).or_else(|| {
        let near = nearest(&text.value, words.iter().copied()).map(ToOwned::to_owned);
        let problem = ConfigProblem::InvalidNetwork { value: text.value.clone(), near, words: words.to_vec() };
        section.note(&problem, text.place.clone());
        None
    })
}

/// Converts an IPv4-mapped network, `::ffff:10.0.0.0/104`, to `10.0.0.0/8`: client addresses are compared as IPv4.
fn unmapped(network: IpNet) -> IpNet {
    let (std::net::IpAddr::V6(address), length) = (network.network(), network.prefix_len()) else { return network };
    let mapped = address.to_ipv4_mapped().filter(|_| length >= 96);
    mapped.and_then(|address| IpNet::new(address.into(), length - 96).ok()).unwrap_or(network)
}

pub(super) fn address(section: &Section<'_>, text: &Taken<String>, default: SocketAddr) -> SocketAddr {
    text.value.parse().unwrap_or_else(|_| {
        section.note(&ConfigProblem::InvalidListenAddress(text.value.clone()), text.place.clone());
        default
    })
}

/// The `kind` of a source or channel.
pub(super) fn kind(section: &mut Section<'_>, of: &'static str, kinds: &[&'static str]) -> Option<&'static str> {
    let Some(taken) = section.string("kind") else {
        let problem = ConfigProblem::MissingKind { table: section.name(), kinds: kinds.to_vec() };
        section.note(&problem, section.place());
        return None;
    };
    let found = kinds.iter().find(|kind| **kind == taken.value).copied();
    if found.is_none() {
        let near = nearest(&taken.value, kinds.iter().copied()).map(ToOwned::to_owned);
        let problem = ConfigProblem::InvalidKind { of, value: taken.value, kinds: kinds.to_vec(), near };
        section.note(&problem, taken.place);
    }
    found
}

pub(super) fn style(section: &mut Section<'_>) -> Option<MessageStyle> {
    let taken = section.string("style")?;
    let style = MessageStyle::parse(&taken.value);
    if style.is_none() {
        section.note(&ConfigProblem::InvalidStyle(taken.value), taken.place);
    }
    style
}

pub(super) fn pace(section: &mut Section<'_>) -> Option<Pace> {
    let taken = section.string("pace")?;
    let pace = Pace::parse(&taken.value);
    if pace.is_none() {
        section.note(&ConfigProblem::InvalidPace(taken.value), taken.place);
    }
    pace
}

/// Patterns. An invalid pattern is recorded as an error and left out.
pub(super) fn patterns(section: &Section<'_>, texts: Vec<Taken<String>>, style: Style) -> Patterns {
    let texts = texts.into_iter().filter(|text| match Patterns::new(std::slice::from_ref(&text.value), style) {
        Ok(_) => {
            like_a_regex(section, text);
            true
        }
        Err(reason) => {
            let problem = ConfigProblem::InvalidPattern { value: text.value.clone(), reason };
            section.note(&problem, text.place.clone());
            false
        }
    });
    let texts: Vec<_> = texts.map(|text| text.value).collect();
    Patterns::new(&texts, style).unwrap_or_default()
}

/// Syntax that is meant as a regular expression and hardly ever occurs in a name.
#[expect(clippy::expect_used, reason = "a literal, which a test compiles")]
static LIKE_A_REGEX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\^|\$$|\([^()]*\|[^()]*\)|\(\?|\\[dwsbDWSB]|(^|[^\w*])\.[*+]|\.\+|\][*+]|\)[*+?]")
        .expect("a valid pattern")
});

/// Warns about a regular expression without `~`.
fn like_a_regex(section: &Section<'_>, text: &Taken<String>) {
    let (not, bare) = text.value.strip_prefix('!').map_or(("", text.value.as_str()), |bare| ("!", bare));
    if bare.starts_with('~') || !LIKE_A_REGEX.is_match(bare) {
        return;
    }
    let regex = format!("{not}~{}", bare.trim_start_matches('^').trim_end_matches('$'));
    section.note(&ConfigProblem::LooksLikeRegex { value: text.value.clone(), regex }, text.place.clone());
}
