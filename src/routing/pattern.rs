//! Patterns that values are held against: globs, `~regex`, and both with `!` before them to exclude.

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

/// The most memory, in bytes, that one compiled `~regex` may take.
const LARGEST_REGEX: usize = 1024 * 1024;

/// How patterns of a key match.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// `/` separates: `*` stays within a part, `**` crosses.
    pub separator: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
}

/// The patterns that one key of a rule lists.
///
/// A value fits if no `!pattern` matches it, and one of the others does, if there are others.
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

/// How values stand to [`Patterns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They fit.
    Fits,
    /// This value is excluded by this pattern.
    Excluded {
        /// The value.
        value: String,
        /// The pattern, with its `!`.
        pattern: String,
    },
    /// No value fits; there may be none at all.
    NoneOf {
        /// The values.
        values: Vec<String>,
        /// The patterns.
        patterns: Vec<String>,
    },
}

impl Patterns {
    /// Compiles patterns; the error is the position of the one that is wrong, and why.
    pub fn new(texts: &[String], style: Style) -> Result<Self, (usize, String)> {
        let mut patterns = Self::default();
        for (n, text) in texts.iter().enumerate() {
            let (list, positive) = match text.strip_prefix('!') {
                Some(rest) => (&mut patterns.exclude, rest),
                None => (&mut patterns.include, text.as_str()),
            };
            let matcher = compile(positive, style).map_err(|reason| (n, reason))?;
            list.push(Pattern { text: text.clone(), matcher });
        }
        Ok(patterns)
    }

    /// Whether one value fits.
    pub fn matches(&self, value: &str) -> bool {
        !self.exclude.iter().any(|pattern| pattern.matcher.matches(value))
            && self.include.iter().any(|pattern| pattern.matcher.matches(value))
    }

    /// How a key's values stand to the patterns: positives need a value, `!value` passes where there is none.
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

fn compile(text: &str, style: Style) -> Result<Matcher, String> {
    if text.is_empty() {
        return Err("an empty pattern matches nothing".to_owned());
    }
    if let Some(regex) = text.strip_prefix('~') {
        let mut builder = RegexBuilder::new(&format!("^(?:{regex})$"));
        builder.case_insensitive(style.ignore_case).size_limit(LARGEST_REGEX);
        return builder.build().map(Matcher::Regex).map_err(|error| {
            let text = error.to_string();
            format!("not a regular expression: {}", text.lines().last().unwrap_or(&text).trim_start_matches("error: "))
        });
    }
    GlobBuilder::new(text)
        .literal_separator(style.separator)
        .case_insensitive(style.ignore_case)
        .backslash_escape(true)
        .build()
        .map(|glob| Matcher::Glob(glob.compile_matcher()))
        .map_err(|error| format!("not a glob: {}", error.kind()))
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
    fn globs_keep_to_a_part_unless_doubled() {
        assert!(patterns(&["acme/*"], REPO).matches("acme/api"));
        assert!(patterns(&["ACME/api-*"], REPO).matches("acme/API-core"));
        assert!(!patterns(&["release/*"], BRANCH).matches("release/2/8"));
        assert!(patterns(&["release/**"], BRANCH).matches("release/2/8"));
        assert!(!patterns(&["Main"], BRANCH).matches("main"));
        assert!(patterns(&["{main,master}"], BRANCH).matches("master"));
    }

    #[test]
    fn a_regex_is_anchored_at_both_ends() {
        let hotfix = patterns(&["~hotfix-[0-9]+"], BRANCH);
        assert!(hotfix.matches("hotfix-12"));
        assert!(!hotfix.matches("a-hotfix-12"));
        assert!(!hotfix.matches("hotfix-12b"));
    }

    #[test]
    fn exclusions_pass_where_there_is_no_value_and_positives_do_not() {
        assert_eq!(patterns(&["!main"], BRANCH).fit(&[]), Fit::Fits);
        assert!(matches!(patterns(&["main"], BRANCH).fit(&[]), Fit::NoneOf { .. }));
        assert!(matches!(patterns(&["*", "!main"], BRANCH).fit(&["main"]), Fit::Excluded { .. }));
    }

    #[test]
    fn what_cannot_be_compiled_says_which_and_why() {
        let error = |text: &str| Patterns::new(&["fine".to_owned(), text.to_owned()], BRANCH).unwrap_err();
        assert_eq!(error("").0, 1);
        assert!(error("[a").1.starts_with("not a glob: "), "{}", error("[a").1);
        assert!(error("~(").1.starts_with("not a regular expression: "), "{}", error("~(").1);
        assert!(error("~(a{1000}){1000}").1.contains("size limit"), "{}", error("~(a{1000}){1000}").1);
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
        fn a_literal_name_matches_itself_alone(name in "[a-z0-9/_.-]{1,20}", other in "[a-z0-9/_.-]{1,20}") {
            let patterns = patterns(&[&name], BRANCH);
            prop_assert!(patterns.matches(&name));
            prop_assert_eq!(patterns.matches(&other), name == other);
        }
    }
}
