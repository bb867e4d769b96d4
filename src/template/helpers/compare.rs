//! Value comparison. Values compare as numbers if both are numbers or numeric texts, so that `(eq id "482")` works.

use std::cmp::Ordering;

use serde_json::Value;

/// Number, or text that consists of a number.
enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) if is_numeric(text) => text.clone(),
            _ => return None,
        };
        let whole = text.parse().ok().map(Self::Whole);
        whole.or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Other))
    }

    #[expect(clippy::cast_precision_loss, reason = "only compared with a number that is not an integer")]
    fn float(&self) -> f64 {
        match self {
            Self::Whole(number) => *number as f64,
            Self::Other(number) => *number,
        }
    }
}

/// Accepts `-12` and `3.50`, but not `1e9`, which may be the start of a hash.
fn is_numeric(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(rest)
}

/// Compares two values. Returns `None` if they are not comparable.
pub(super) fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (Number::of(one), Number::of(other)) {
        (Some(Number::Whole(one)), Some(Number::Whole(other))) => Some(one.cmp(&other)),
        (Some(one), Some(other)) => one.float().partial_cmp(&other.float()),
        _ => match (one, other) {
            (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
            (one, other) => (one == other).then_some(Ordering::Equal),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_their_texts_compare_as_numbers() {
        let of = |one: Value, other: Value| compare(&one, &other);
        assert_eq!(of(json!(482), json!("482")), Some(Ordering::Equal));
        assert_eq!(of(json!("3"), json!(10)), Some(Ordering::Less));
        assert_eq!(of(json!("3.5"), json!("3.50")), Some(Ordering::Equal));
        assert_eq!(of(json!(u64::MAX), json!("18446744073709551614")), Some(Ordering::Greater));
        assert_eq!(of(json!("10"), json!("9a")), Some(Ordering::Less), "as texts");
        assert_eq!(of(json!("1e9"), json!("1000000000")), Some(Ordering::Greater), "as texts");
        assert_eq!(of(json!(null), json!(null)), Some(Ordering::Equal));
        assert_eq!(of(json!(null), json!("")), None);
        assert_eq!(of(json!([1]), json!(1)), None);
        assert_eq!(of(json!(true), json!(true)), Some(Ordering::Equal));
    }
}
