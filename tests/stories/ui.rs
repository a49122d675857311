//! The page for browsers, as a browser without JavaScript uses it: it keeps cookies, follows nothing by itself, and sends the forms that it
//! was given.

mod administering;
mod deleting;
mod details;
mod forms;
mod languages;
mod leaving;
mod looking;
mod origin;
mod sessions;
mod showing;
mod signing_in;

use std::collections::BTreeMap;

use wharf_testkit::{Answer, Client, Method, Server, ServerBuilder};

/// A line of a password file for each name, all with the password `pw`, hashed at the cost 4.
pub(crate) fn lines_of(names: &[&str]) -> String {
    let hash = super::admin::ALICE.trim_end().split_once(':').unwrap().1;
    names.iter().map(|name| format!("{name}:{hash}\n")).collect()
}

/// A server with the users `alice`, `bob` and `root`, of which the last is an administrator; it takes robot tokens and deletes.
pub(crate) fn with_accounts(builder: ServerBuilder) -> ServerBuilder {
    with_accounts_and(builder, "")
}

/// The same with more keys of `access`.
pub(crate) fn with_accounts_and(builder: ServerBuilder, more: &str) -> ServerBuilder {
    builder.write("htpasswd", lines_of(&["alice", "bob", "root"]));
    let path = builder.path("htpasswd").display().to_string();
    let access = format!("access: {{tokens: {{enabled: true}}, admins: [root]{more}}}");
    super::admin::with_socket(builder).htpasswd(&path).config(access)
}

/// The same with these access rules.
pub(crate) fn with_rules(builder: ServerBuilder, rules: &str) -> ServerBuilder {
    builder.write("rules.yml", rules);
    let path = builder.path("rules.yml").display().to_string();
    with_accounts_and(builder, &format!(", rules: '{path}'"))
}

/// A browser.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    /// Where the pages are.
    pub(crate) root: String,
    /// Scheme and host of the server, as the browser has them.
    origin: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            client: server.anonymous(),
            root: "/ui".to_owned(),
            origin: format!("http://{}", server.address()),
            cookies: BTreeMap::new(),
        }
    }

    /// A browser in which `name` is signed in.
    pub(crate) async fn of(server: &Server, name: &str) -> Self {
        let mut browser = Self::new(server);
        browser.sign_in(name, "pw").await.expect(303);
        browser
    }

    /// Fills in the form to sign in, and sends it.
    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let page = self.open("/sign-in?to=/ui/").await.expect(200);
        let form = Form::find(&page, "/sign-in");
        self.send(&form.with("name", name).with("password", password))
            .await
    }

    /// Opens a page below the root.
    pub(crate) async fn open(&mut self, path: &str) -> Answer {
        let target = format!("{}{path}", self.root);
        self.go(&target).await
    }

    /// Opens an address of the server.
    pub(crate) async fn go(&mut self, target: &str) -> Answer {
        self.request(Method::GET, target, "", &[]).await
    }

    /// Sends a form, as a browser does for a page of this server.
    pub(crate) async fn send(&mut self, form: &Form) -> Answer {
        let origin = self.origin.clone();
        self.send_with(form, &[("origin", &origin)]).await
    }

    /// Sends a form with these headers alone.
    pub(crate) async fn send_with(&mut self, form: &Form, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::POST, &form.action, &form.body(), headers)
            .await
    }

    /// Follows the redirect of an answer.
    pub(crate) async fn follow(&mut self, answer: &Answer) -> Answer {
        let location = answer.header("location").to_owned();
        self.go(&location).await
    }

    async fn request(
        &mut self,
        method: Method,
        target: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.request(method.clone(), target);
        request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", pairs.join("; "));
        }
        if method == Method::POST {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.to_owned());
        }
        let answer = request.await;
        for value in answer.headers.get_all("set-cookie") {
            let value = value.to_str().unwrap();
            let (name, rest) = value.split_once('=').unwrap();
            let text = rest.split(';').next().unwrap();
            match value.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), text.to_owned()),
            };
        }
        answer
    }
}

/// A form of a page.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// The form of a page that is sent to an address with this end, with its hidden fields and those that have a value.
    #[track_caller]
    pub(crate) fn find(page: &Answer, action: &str) -> Self {
        Self::maybe(page, action).unwrap_or_else(|| panic!("no form for {action}: {}", page.text()))
    }

    /// The same; `None`: the page has no such form.
    pub(crate) fn maybe(page: &Answer, action: &str) -> Option<Self> {
        let text = page.text();
        let forms = text
            .split("<form ")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap());
        let mut forms = forms.filter(|form| attribute(form.split('>').next().unwrap(), "method").is_some());
        let form = forms.find(|form| {
            let head = form.split('>').next().unwrap();
            attribute(head, "action").is_some_and(|found| found.ends_with(action))
        })?;
        let head = form.split('>').next().unwrap();
        let inputs = form
            .split("<input ")
            .skip(1)
            .map(|rest| rest.split('>').next().unwrap());
        let fields = inputs.filter_map(|input| {
            let is_box = ["checkbox", "radio"].contains(&attribute(input, "type")?.as_str());
            let is_sent = !is_box || input.contains(" checked");
            is_sent.then(|| {
                Some((
                    attribute(input, "name")?,
                    attribute(input, "value").unwrap_or_default(),
                ))
            })?
        });
        Some(Self {
            action: attribute(head, "action").unwrap(),
            fields: fields.collect(),
        })
    }

    /// The form with another value in a field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(candidate, _)| candidate != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The form without a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(candidate, _)| candidate != name);
        self
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(candidate, _)| candidate == name);
        field.map_or("", |(_, value)| value)
    }

    fn body(&self) -> String {
        let encode = |text: &str| -> String {
            let bytes = text.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => (byte as char).to_string(),
                _ => format!("%{byte:02X}"),
            });
            bytes.collect()
        };
        let pairs: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        pairs.join("&")
    }
}

/// The value of an attribute in a start tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = format!("{name}=\"");
    let tag = format!(" {tag}");
    let (_, rest) = tag.split_once(&format!(" {start}"))?;
    let value = rest.split('"').next().unwrap();
    let mut text = value.to_owned();
    for (escape, character) in [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(escape, character);
    }
    Some(text)
}
