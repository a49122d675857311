//! A token server as docker_auth is one: it knows users and their rights, and signs what they may.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::tokens::Signer;

/// A token server on a port of its own. Its thread ends with the process of the test.
#[derive(Debug)]
pub struct TokenIssuer {
    address: SocketAddr,
}

/// What a token server is configured with.
#[derive(Debug)]
pub struct Issuing {
    /// Key that signs the tokens; its `kid` is that of libtrust, as docker_auth writes it
    pub signer: Signer,
    /// `iss` of the tokens
    pub issuer: &'static str,
    /// User names, each with its password and the actions that it may do on every repository
    pub users: &'static [(&'static str, &'static str, &'static [&'static str])],
}

impl TokenIssuer {
    /// Answers at `/auth` on a port of its own.
    pub fn start(issuing: Issuing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away early is its own affair.
                _ = issuing.answer(stream);
            }
        });
        Self { address }
    }

    /// The address at which clients fetch tokens.
    pub fn realm(&self) -> String {
        format!("http://{}/auth", self.address)
    }
}

impl Issuing {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut authorization = None;
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.to_owned());
            }
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let (status, body) = match self.token(query, authorization.as_deref()) {
            Some(token) => ("200 OK", json!({"token": token, "access_token": token})),
            None => ("401 Unauthorized", json!({"details": "Auth failed."})),
        };
        let body = body.to_string();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    /// The token; `None` when the password is wrong.
    fn token(&self, query: &str, authorization: Option<&str>) -> Option<String> {
        let (account, allowed) = match authorization.and_then(|value| value.strip_prefix("Basic ")) {
            None => ("", &[][..]),
            Some(basic) => {
                let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
                let (name, password) = pair.split_once(':')?;
                let mut users = self.users.iter();
                let user = users.find(|(known, secret, _)| (*known, *secret) == (name, password))?;
                (user.0, user.2)
            }
        };
        let (mut service, mut access) = (String::new(), Vec::new());
        for (name, value) in pairs(query) {
            match name.as_str() {
                "service" => service = value,
                "scope" => access.extend(value.split(' ').filter_map(|scope| entry(scope, allowed))),
                _ => {}
            }
        }
        let now = crate::tokens::now();
        let claims = json!({
            "iss": self.issuer, "sub": account, "aud": service, "exp": now + 900, "nbf": now - 10, "iat": now,
            "jti": "1", "access": access,
        });
        let token = self
            .signer
            .token(json!({"typ": "JWT", "kid": self.signer.fingerprint()}), &claims);
        String::from_utf8(token).ok()
    }
}

/// What of one scope is allowed.
fn entry(scope: &str, allowed: &[&str]) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions
        .split(',')
        .filter(|action| allowed.contains(action))
        .collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

/// The parameters of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let written = query.split('&').filter_map(|pair| pair.split_once('='));
    written
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
