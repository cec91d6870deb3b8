//! What the claims of a token must say (RFC 7519 section 4.1), decided from the claims, the rules and the time.

use super::Refusal;
use super::jws::object;
use serde::Deserialize;
use std::time::Duration;

/// What is asked of every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The one issuer, byte for byte.
    pub(crate) issuer: String,
    /// The audience that must be among the token's.
    pub(crate) audience: String,
    /// How far clocks may differ; at most 60 s.
    pub(crate) leeway: Duration,
    /// How long a token may be good for: a stolen one is worth nothing for longer.
    pub(crate) max_lifetime: Duration,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Rules {
    /// The subject of a token, at `now` in seconds since 1970.
    pub(super) fn subject(&self, claims: &[u8], now: f64) -> Result<String, Refusal> {
        let claims: Claims = object(claims).ok_or(Refusal::Claims)?;
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer);
        }
        let ours = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if !ours {
            return Err(Refusal::Audience);
        }
        let (leeway, lifetime) = (self.leeway.as_secs_f64(), self.max_lifetime.as_secs_f64());
        if now >= claims.exp + leeway {
            return Err(Refusal::Expired);
        }
        let begins = [claims.nbf, claims.iat].into_iter().flatten();
        if begins.clone().any(|begin| begin > now + leeway) {
            return Err(Refusal::NotYet);
        }
        // A token that does not say when it was made is judged by how long it would still be good for.
        if claims.exp - claims.iat.unwrap_or(now) > lifetime || claims.exp - now > lifetime + leeway {
            return Err(Refusal::Lifetime);
        }
        Ok(claims.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: f64 = 1_000_000.0;

    fn check(edit: impl FnOnce(&mut Value)) -> Result<String, Refusal> {
        let rules = Rules {
            issuer: "https://issuer.example".to_owned(),
            audience: "countersign".to_owned(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_mins(10),
        };
        let mut claims = json!({
            "iss": "https://issuer.example", "sub": "spiffe://example.org/login", "aud": "countersign",
            "exp": NOW + 300.0, "iat": NOW - 60.0,
        });
        edit(&mut claims);
        rules.subject(claims.to_string().as_bytes(), NOW)
    }

    fn set(name: &str, value: impl Into<Value>) -> Result<String, Refusal> {
        check(|claims| claims[name] = value.into())
    }

    /// R42: issuer, audience and time decide, at their edges too; what must be there and is not, refuses.
    #[test]
    fn claims_decide_by_issuer_audience_and_time() {
        let good = Ok("spiffe://example.org/login".to_owned());
        assert_eq!(check(|_| ()), good);
        assert_eq!(set("aud", json!(["other", "countersign"])), good);
        assert_eq!(set("aud", json!(["other"])), Err(Refusal::Audience));
        assert_eq!(set("aud", "countersign2"), Err(Refusal::Audience));
        assert_eq!(set("aud", json!([])), Err(Refusal::Audience));
        assert_eq!(set("iss", "https://issuer.example/"), Err(Refusal::Issuer));
        for (exp, expected) in [
            (NOW - 29.0, good.clone()),
            (NOW - 30.0, Err(Refusal::Expired)),
            (NOW + 540.0, good.clone()),
            (NOW + 541.0, Err(Refusal::Lifetime)),
        ] {
            assert_eq!(set("exp", exp), expected, "{exp}");
        }
        assert_eq!(set("nbf", NOW + 30.0), good);
        assert_eq!(set("nbf", NOW + 31.0), Err(Refusal::NotYet));
        assert_eq!(set("iat", NOW + 31.0), Err(Refusal::NotYet));
        let old = check(|claims| (claims["exp"], claims["iat"]) = (json!(NOW + 1.0), json!(NOW - 600.0)));
        assert_eq!(old, Err(Refusal::Lifetime));
        for name in ["iss", "sub", "aud", "exp"] {
            let missing = check(|claims| drop(claims.as_object_mut().unwrap().remove(name)));
            assert_eq!(missing, Err(Refusal::Claims), "{name}");
            assert_eq!(set(name, Value::Null), Err(Refusal::Claims), "{name}");
        }
        assert_eq!(check(|claims| drop(claims.as_object_mut().unwrap().remove("iat"))), good);
        assert_eq!(set("exp", "1000300"), Err(Refusal::Claims), "a text is no time");
        assert_eq!(set("sub", 7), Err(Refusal::Claims));
    }
}
