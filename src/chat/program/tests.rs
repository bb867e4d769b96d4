use secrecy::SecretString;

use super::*;
use crate::chat::testing::{answer as response, short};

fn endpoint(secret: &str) -> Result<Endpoint, AddressError> {
    Ok(Endpoint { key: key(&SecretString::from(secret))? })
}

/// Example of the specification
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
#[test]
fn specification_example_has_the_documented_signature() {
    let program = endpoint("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let headers = program.signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(headers["webhook-timestamp"], "1614265330");
}

#[test]
fn secret_can_be_plain_or_prefixed() {
    assert!(endpoint("any text").is_ok());
    for wrong in ["whsec_???", "whsec_"] {
        let error = endpoint(wrong).err().unwrap();
        assert!(error.message.contains("not valid base64") && !error.message.contains("???"), "{}", error.message);
    }
}

#[test]
fn response_status_decides_the_outcome() {
    let outcome = |status| short(&answer::outcome(&response(status, &[], "")));
    let outcomes: Vec<_> =
        [200, 202, 204, 302, 400, 401, 404, 410, 413, 429, 500, 503].map(|n| format!("{n} {}", outcome(n))).into();
    insta::assert_snapshot!(outcomes.join("\n"));
}
