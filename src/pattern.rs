//! Patterns for values: globs and `~regex`, each with an optional `!` prefix to exclude.

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Maximum size of a compiled `~regex`, in bytes.
const MAX_REGEX: usize = 1024 * 1024;

/// Matching style of the patterns of a key.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// True if `/` is a separator: `*` stops at it, `**` crosses it.
    pub separator: bool,
    /// True if matching is case-insensitive.
    pub ignore_case: bool,
}

/// The patterns of one key of a rule.
///
/// A value fits if no `!pattern` matches it and, if there are other patterns, at least one of them matches it.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Matcher {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// Error in a pattern. The text continues a sentence that begins with the pattern.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PatternError {
    /// It is empty.
    #[error("is empty and matches nothing; remove it, or write `*`")]
    Empty,
    /// It starts with `~`, and is not a regular expression.
    #[error("is not a valid regular expression: {}", last_line(.0))]
    Regex(regex::Error),
    /// It is not a glob.
    #[error("is not a valid glob: {0}")]
    Glob(globset::ErrorKind),
}

/// The reason of an error in a regular expression. The lines before it repeat the expression and mark the position.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or(&text).trim_start_matches("error: ").trim_end_matches('.').to_owned()
}

/// Result of matching values against [`Patterns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The values fit.
    Fits,
    /// A value is excluded by a pattern.
    Excluded {
        /// The excluded value.
        value: String,
        /// The excluding pattern, with its `!`.
        pattern: String,
    },
    /// No value fits.
    NoneOf {
        /// All values; may be empty.
        values: Vec<String>,
        /// All patterns that are not exclusions.
        patterns: Vec<String>,
    },
}

impl Patterns {
    /// Compiles patterns.
    pub fn new(texts: &[String], style: Style) -> Result<Self, PatternError> {
        let mut patterns = Self::default();
        for text in texts {
            let (list, positive) = match text.strip_prefix('!') {
                Some(rest) => (&mut patterns.exclude, rest),
                None => (&mut patterns.include, text.as_str()),
            };
            let matcher = compile(positive, style)?;
            list.push(Pattern { text: text.clone(), matcher });
        }
        Ok(patterns)
    }

    /// For each pattern that is not an exclusion, a literal part that every matching value has. `None` if there are no
    /// such patterns, or if one of them has no such part.
    pub(crate) fn anchors(&self) -> Option<Vec<Anchor>> {
        let anchors: Option<Vec<_>> = self.include.iter().map(|pattern| Anchor::of(&pattern.text)).collect();
        anchors.filter(|anchors| !anchors.is_empty())
    }

    /// The patterns as written, exclusions first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.exclude.iter().chain(&self.include).map(|pattern| pattern.text.as_str())
    }

    /// Returns true if there are only exclusions, or no patterns.
    pub(crate) fn only_exclude(&self) -> bool {
        self.include.is_empty()
    }

    /// Returns true if the values of a key fit, as defined by [`fit`](Self::fit).
    pub fn fits(&self, values: &[&str]) -> bool {
        let any = |list: &[Pattern]| list.iter().any(|pattern| values.iter().any(|v| pattern.matcher.matches(v)));
        !any(&self.exclude) && (self.include.is_empty() || any(&self.include))
    }

    /// Returns true if a pattern matches this value and no exclusion does.
    pub fn matches(&self, value: &str) -> bool {
        !self.exclude.iter().any(|pattern| pattern.matcher.matches(value))
            && self.include.iter().any(|pattern| pattern.matcher.matches(value))
    }

    /// Matches the values of a key. If there is no value, exclusions pass and all other patterns fail.
    pub fn fit(&self, values: &[&str]) -> Fit {
        for pattern in &self.exclude {
            if let Some(value) = values.iter().find(|value| pattern.matcher.matches(value)) {
                return Fit::Excluded { value: (*value).to_owned(), pattern: pattern.text.clone() };
            }
        }
        let included = |value: &&str| self.include.iter().any(|pattern| pattern.matcher.matches(value));
        if self.include.is_empty() || values.iter().any(included) {
            return Fit::Fits;
        }
        Fit::NoneOf {
            values: values.iter().map(|&value| value.to_owned()).collect(),
            patterns: self.include.iter().map(|pattern| pattern.text.clone()).collect(),
        }
    }
}

/// A literal part of every value that a pattern matches, in lower case. The index uses it to find candidate rules
/// without testing each rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The whole value.
    Whole(String),
    /// The start of the value.
    Start(String),
    /// The end of the value.
    End(String),
}

impl Anchor {
    /// Extracts the literal part of a pattern; `None` if there is none. Only ASCII patterns are supported, because case
    /// folding is simple there.
    fn of(text: &str) -> Option<Self> {
        const SPECIAL: &[char] = &['*', '?', '[', ']', '{', '}', '\\'];
        if text.starts_with('~') || !text.is_ascii() {
            return None;
        }
        let Some(first) = text.find(SPECIAL) else { return Some(Self::Whole(text.to_ascii_lowercase())) };
        let start = &text[..first];
        if !start.is_empty() {
            return Some(Self::Start(start.to_ascii_lowercase()));
        }
        let end = text.rsplit(SPECIAL).next().unwrap_or_default();
        // `**/x` matches `x` too.
        let end = end.strip_prefix('/').unwrap_or(end);
        (!end.is_empty()).then(|| Self::End(end.to_ascii_lowercase()))
    }
}

/// Rewrites a glob so that each `**` crosses `/`. globset treats `**` like `*` unless it is a whole path component.
fn crossing(text: &str) -> String {
    let mut glob = String::with_capacity(text.len());
    let (mut rest, mut in_class) = (text, false);
    while let Some(c) = rest.chars().next() {
        if !in_class && rest.starts_with("**") {
            let behind = rest.trim_start_matches('*');
            let begins = glob.is_empty() || glob.ends_with(['/', '{', ',']);
            let ends = behind.is_empty() || behind.starts_with(['/', '}', ',']);
            glob.push_str(if begins && ends { "**" } else { "{*,*/**/*}" });
            rest = behind;
            continue;
        }
        match c {
            '\\' => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                glob.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        glob.push(c);
        rest = &rest[c.len_utf8()..];
    }
    glob
}

/// A regular expression anchored at both ends, and the same one without anchors.
pub(crate) struct Unanchored {
    pub(crate) whole: Regex,
    pub(crate) found: Regex,
}

/// Compiles a `~regex` with and without anchors; `None` for any other pattern.
pub(crate) fn unanchored(text: &str, style: Style) -> Option<Unanchored> {
    let regex = text.trim_start_matches('!').strip_prefix('~')?;
    Some(Unanchored {
        whole: self::regex(&format!("^(?:{regex})$"), style).ok()?,
        found: self::regex(regex, style).ok()?,
    })
}

fn regex(text: &str, style: Style) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(style.ignore_case).size_limit(MAX_REGEX).build()
}

fn compile(text: &str, style: Style) -> Result<Matcher, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if let Some(regex) = text.strip_prefix('~') {
        return self::regex(&format!("^(?:{regex})$"), style).map(Matcher::Regex).map_err(PatternError::Regex);
    }
    GlobBuilder::new(&crossing(text))
        .literal_separator(style.separator)
        .case_insensitive(style.ignore_case)
        .backslash_escape(true)
        .build()
        .map(|glob| Matcher::Glob(glob.compile_matcher()))
        .map_err(|error| PatternError::Glob(error.kind().clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPO: Style = Style { separator: true, ignore_case: true };
    const BRANCH: Style = Style { separator: true, ignore_case: false };

    fn patterns(texts: &[&str], style: Style) -> Patterns {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        Patterns::new(&texts, style).unwrap()
    }

    #[test]
    fn single_star_stops_at_slashes() {
        assert!(patterns(&["acme/*"], REPO).matches("acme/api"));
        assert!(patterns(&["ACME/api-*"], REPO).matches("acme/API-core"));
        assert!(!patterns(&["release/*"], BRANCH).matches("release/2/8"));
        assert!(patterns(&["release/**"], BRANCH).matches("release/2/8"));
        assert!(!patterns(&["Main"], BRANCH).matches("main"));
        assert!(patterns(&["{main,master}"], BRANCH).matches("master"));
    }

    #[test]
    fn double_star_crosses_slashes_in_any_position() {
        for (pattern, fits, not) in [
            ("**evt-*", &["evt-1", "a/evt-1", "a/b/evt-1", "x-evt-1"][..], &["evt-1/a", "a/evt"][..]),
            ("release**", &["release", "release-1", "release/1", "release/1/2"], &["a/release"]),
            ("a**z", &["az", "a-z", "a/z", "a/b/c/z", "ab/cz"], &["az/b"]),
            ("{x,**evt}", &["x", "evt", "a/evt"], &["a/x"]),
            ("feature/**", &["feature/a", "feature/a/b"], &["feature"]),
            ("**/main", &["main", "a/main", "a/b/main"], &["a/domain"]),
            ("**", &["a", "a/b"], &[]),
            ("[*]\\**x", &["**x"], &["a/x"]),
        ] {
            let compiled = patterns(&[pattern], BRANCH);
            fits.iter().for_each(|value| assert!(compiled.matches(value), "{pattern} {value}"));
            not.iter().for_each(|value| assert!(!compiled.matches(value), "{pattern} {value}"));
        }
    }

    #[test]
    fn regex_is_anchored_at_both_ends() {
        let hotfix = patterns(&["~hotfix-[0-9]+"], BRANCH);
        assert!(hotfix.matches("hotfix-12"));
        assert!(!hotfix.matches("a-hotfix-12"));
        assert!(!hotfix.matches("hotfix-12b"));
    }

    #[test]
    fn exclusions_pass_without_a_value_and_inclusions_do_not() {
        assert_eq!(patterns(&["!main"], BRANCH).fit(&[]), Fit::Fits);
        assert!(matches!(patterns(&["main"], BRANCH).fit(&[]), Fit::NoneOf { .. }));
        assert!(matches!(patterns(&["*", "!main"], BRANCH).fit(&["main"]), Fit::Excluded { .. }));
    }

    #[test]
    fn an_invalid_pattern_has_a_reason() {
        let error = |text: &str| Patterns::new(&["fine".to_owned(), text.to_owned()], BRANCH).unwrap_err();
        assert_eq!(error(""), PatternError::Empty);
        for (pattern, text) in [
            ("[a", "is not a valid glob: unclosed character class; missing ']'"),
            ("~(", "is not a valid regular expression: unclosed group"),
            (
                "~(a{1000}){1000}",
                "is not a valid regular expression: Compiled regex exceeds size limit of 1048576 bytes",
            ),
        ] {
            assert_eq!(error(pattern).to_string(), text);
        }
    }

    #[test]
    fn glob_has_a_literal_prefix_or_suffix() {
        let start = |text: &str| Some(Anchor::Start(text.to_owned()));
        let end = |text: &str| Some(Anchor::End(text.to_owned()));
        for (glob, anchor) in [
            ("Acme/API", Some(Anchor::Whole("acme/api".to_owned()))),
            ("acme/*", start("acme/")),
            ("acme/{api,web}-x", start("acme/")),
            ("*/api", end("api")),
            ("**/api", end("api")),
            ("*-infra", end("-infra")),
            (r"\*x", end("x")),
            ("**", None),
            ("~acme/.*", None),
            ("grün/*", None),
        ] {
            assert_eq!(Anchor::of(glob), anchor, "{glob}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(text in ".{0,40}", value in ".{0,40}") {
            if let Ok(patterns) = Patterns::new(std::slice::from_ref(&text), BRANCH) {
                let fits = patterns.fit(&[&value]) == Fit::Fits;
                prop_assert_eq!(fits, patterns.matches(&value) || text.starts_with('!') && fits);
            }
        }

        #[test]
        fn literal_pattern_matches_only_itself(name in "[a-z0-9/_.-]{1,20}", other in "[a-z0-9/_.-]{1,20}") {
            let patterns = patterns(&[&name], BRANCH);
            prop_assert!(patterns.matches(&name));
            prop_assert_eq!(patterns.matches(&other), name == other);
        }
    }
}
