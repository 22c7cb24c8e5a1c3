//! `basic_auth_secrets`: users of an HAProxy userlist.

use super::haproxy::words;
use crate::middleware::is_password_hash;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// The users, as `name:hash` each, and what is wrong with others. Neither shows a password.
pub(super) fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut users, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let words = words(line).unwrap_or_else(|_| vec!["?".to_owned()]);
        match &words[..] {
            [] => {}
            [word, ..] if word == "group" => {}
            [word, name, ..] if word == "user" && (name.is_empty() || name.contains(':')) => {
                faults.push(format!("line {number}: a user name holds no colon and is not empty"));
            }
            [word, name, kind, hash, ..] if word == "user" && kind == "password" && is_password_hash(hash) => {
                users.push(format!("{name}:{hash}"));
            }
            [word, _, kind, _, ..] if word == "user" && kind == "password" => faults.push(format!(
                "line {number}: the hash of this user's password is not one of MD5 ($1$), SHA-256 ($5$), SHA-512 ($6$) and bcrypt"
            )),
            [word, name, kind, plain, ..] if word == "user" && kind == "insecure-password" => {
                users.push(format!("{name}:{{SHA}}{}", STANDARD.encode(Sha1::digest(plain))));
            }
            _ => faults.push(format!("line {number}: expected `user NAME password HASH` or `user NAME insecure-password TEXT`")),
        }
    }
    (users, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userlists_as_people_keep_them() {
        let text = "user ann password $5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA\nuser bob insecure-password secret groups staff\n\ngroup staff users bob\n\
                    # a comment\nuser old password rqXexS6ZhobKA\nuser nobody";
        let (users, faults) = read(text);
        assert_eq!(
            users,
            ["ann:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA", "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="]
        );
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("line 6") && faults[1].starts_with("line 7"), "{faults:?}");
        assert!(!faults.concat().contains("rqXexS6ZhobKA"));
    }
}
