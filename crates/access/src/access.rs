//! What a server holds: how clients prove which account they have, and what the accounts may do.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use wharf_budget::Budget;
use wharf_workers::Worker;

use crate::{
    FileStatus,
    action::{Action, Resource, Verb},
    backoff::Backoff,
    binding::Binding,
    credentials::Credentials,
    decision::{Authorization, Grant, Missing, Reason},
    go_quoted,
    htpasswd::Htpasswd,
    principal::{Principal, Via},
    proxy::ProxyHeader,
    queue::{Network, Queue},
    robot::is_token,
    rules::{Asker, Configured, Rules, RulesFile, Verdict, Visible},
    scope::Scope,
    sessions::Session,
    token::{Origin, TokenError, WatchedVerifier},
    token_server::{Login, TokenServer, off_thread},
};

/// The authentication that the server demands, and the permissions of its accounts.
#[derive(Debug)]
pub struct Access {
    login: Way,
    /// `None`: every account may do everything, and a client without one nothing, as in registry:2
    rules: Option<Source>,
    queue: Queue,
    backoff: Backoff,
    proxy_header: Option<ProxyHeader>,
}

/// How clients prove which account they have.
#[derive(Debug)]
enum Way {
    /// `auth.htpasswd`
    Passwords {
        realm: String,
        users: Htpasswd,
        /// `access.tokens`
        tokens: Option<TokenServer>,
    },
    /// `auth.token`
    Tokens(WatchedVerifier),
}

/// Where the rules come from.
#[derive(Debug)]
enum Source {
    /// The configuration alone
    Configuration(Arc<Rules>),
    /// A file, and the configuration
    File(RulesFile),
}

/// Why a client is asked to authenticate itself, in the words of the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenged {
    /// It has not.
    Anonymous,
    /// Its credentials are not good.
    Invalid,
    /// Its token does not allow what it wants.
    InsufficientScope,
}

/// The repositories and tags that a client may see.
#[derive(Debug)]
pub struct Sight<'a> {
    rules: Option<Arc<Rules>>,
    principal: &'a Principal,
    address: Option<IpAddr>,
    /// Where the repositories lie that the rules let it see, at most
    visible: Visible,
}

impl Access {
    /// Accounts are the users in a password file. Clients are shown `realm` when they are asked for their password.
    pub fn with_htpasswd(realm: String, users: Htpasswd) -> Self {
        Self::new(Way::Passwords {
            realm,
            users,
            tokens: None,
        })
    }

    /// Lets the users of a password file use tokens as well, which `server` makes; clients are asked for these.
    #[must_use]
    pub fn with_token_server(mut self, server: TokenServer) -> Self {
        if let Way::Passwords { tokens, .. } = &mut self.login {
            *tokens = Some(server);
        }
        self
    }

    /// Accounts are those that a token server names in its tokens, which also limit what their bearers may do.
    pub fn with_tokens(verifier: WatchedVerifier) -> Self {
        Self::new(Way::Tokens(verifier))
    }

    fn new(login: Way) -> Self {
        Self {
            login,
            rules: None,
            queue: Queue::new(Budget::default().passwords),
            backoff: Backoff::new(),
            proxy_header: None,
        }
    }

    /// Charges the requests that wait for the check of their credentials to `budget`.
    #[must_use]
    pub fn with_budget(mut self, budget: &Budget) -> Self {
        self.queue = Queue::new(budget.passwords.clone());
        self
    }

    /// Lets accounts, and clients without one, do what the rules of `file` allow, and nothing else.
    #[must_use]
    pub fn with_rules_of(mut self, file: RulesFile) -> Self {
        self.rules = Some(Source::File(file));
        self
    }

    /// Lets accounts, and clients without one, do what the configuration alone says.
    #[must_use]
    pub fn with_configured(mut self, configured: &Configured) -> Self {
        if *configured != Configured::default() {
            let rules = Arc::new(Rules::effective(None, configured));
            self.rules = Some(Source::Configuration(rules));
        }
        self
    }

    /// Believes proxies that name the account of their client.
    #[must_use]
    pub fn with_proxy_header(mut self, header: ProxyHeader) -> Self {
        self.proxy_header = Some(header);
        self
    }

    /// The headers in which a proxy names the account of its client, if there are such proxies.
    pub fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.proxy_header.as_ref()
    }

    /// Finds out which client it is without reading a file, computing a bcrypt hash or verifying a signature, as for nearly every
    /// request. `None`: call [`authenticate`](Self::authenticate).
    pub fn authenticate_at_once(&self, credentials: &Credentials<'_>) -> Option<Result<Principal, Reason>> {
        if let Some(Source::File(file)) = &self.rules
            && !file.is_unchanged()
        {
            return None;
        }
        self.recognise(credentials)
    }

    fn recognise(&self, credentials: &Credentials<'_>) -> Option<Result<Principal, Reason>> {
        if let Some((tokens, users, token)) = self.own_token(credentials) {
            return tokens.authenticate_at_once(token, users, SystemTime::now());
        }
        match (credentials, &self.login) {
            (Credentials::None, _) => Some(Ok(Principal::ANONYMOUS)),
            (Credentials::Malformed(what), _) => Some(Err(Reason::Malformed(what))),
            (Credentials::Proxied(proxied), _) => Some(Ok(Principal::of_proxy(proxied))),
            // What the libraries of podman and skopeo send to a server that asks for a password when they have none.
            (Credentials::Basic(basic), _) if basic.is_empty() => Some(Ok(Principal::ANONYMOUS)),
            (Credentials::Basic(basic), Way::Passwords { users, .. }) => {
                users.recognise(basic).map(Principal::with_password).map(Ok)
            }
            (Credentials::Bearer(token), Way::Tokens(verifier)) => {
                let now = SystemTime::now();
                let claims = verifier.if_unchanged(|verifier| verifier.recognise(token, now))??;
                Some(Ok(Principal::with_token(claims)))
            }
            (Credentials::Basic(_), Way::Tokens(_)) | (Credentials::Bearer(_), Way::Passwords { .. }) => {
                Some(Err(Reason::WrongScheme))
            }
        }
    }

    /// The token of this registry in `credentials`: as a bearer token, or, of a robot, as the password of any name; with what knows
    /// whether it is good.
    fn own_token<'a>(
        &'a self,
        credentials: &'a Credentials<'_>,
    ) -> Option<(&'a TokenServer, &'a Htpasswd, &'a [u8])> {
        let Way::Passwords {
            users,
            tokens: Some(tokens),
            ..
        } = &self.login
        else {
            return None;
        };
        let token = match credentials {
            Credentials::Bearer(token) => token,
            Credentials::Basic(basic) => Some(basic.password()).filter(|text| is_token(text))?,
            _ => return None,
        };
        Some((tokens, users, token))
    }

    /// Finds out which client sends a request from `address`, if that is known. Passwords that have not been seen lately are
    /// hashed on another thread, a few at a time, as are the signatures of tokens; requests that would wait too long are refused
    /// with [`Reason::Busy`], first those of an address from which many come.
    ///
    /// # Errors
    ///
    /// [`Reason`]: the credentials are not good, or were not checked.
    pub async fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        address: Option<IpAddr>,
    ) -> Result<Principal, Reason> {
        self.refresh_rules().await;
        if let Some(done) = self.recognise(credentials) {
            return done;
        }
        let network = address.map(Network::of);
        let _place = self.queue.enter(network)?;
        if let Some((tokens, users, token)) = self.own_token(credentials) {
            return tokens.authenticate(token, users, SystemTime::now()).await;
        }
        match (credentials, &self.login) {
            (Credentials::Basic(basic), Way::Passwords { users, .. }) => {
                self.backoff.admit(basic, network).map_err(Reason::Guessing)?;
                match users.authenticate(basic, network).await {
                    Ok(user) => {
                        self.backoff.succeeded(basic, network);
                        Ok(Principal::with_password(user))
                    }
                    Err(Reason::WrongCredentials) => {
                        self.backoff.failed(basic, network);
                        Err(Reason::WrongCredentials)
                    }
                    Err(Reason::Busy) => Err(self.queue.refuse()),
                    Err(reason) => Err(reason),
                }
            }
            (Credentials::Bearer(token), Way::Tokens(verifier)) => {
                let (verifier, token) = (verifier.refresh().await, token.to_vec());
                let verify = move || verifier.authenticate(&token, SystemTime::now());
                off_thread(verify).await.map(Principal::with_token)
            }
            _ => Err(Reason::WrongScheme),
        }
    }

    /// Whether `principal`, a client at `address`, may do all of `actions`, on `tag` of their repository if they name one. Allocates
    /// nothing when it may.
    ///
    /// A request that needs no right, such as the version check, is for clients with an account: docker and others send their
    /// credentials only after a server has refused that request without them.
    pub fn authorize<'a>(
        &self,
        principal: &Principal,
        actions: &[Action<'a>],
        tag: Option<&str>,
        address: Option<IpAddr>,
    ) -> Authorization<'a> {
        let is_beyond = match principal.via() {
            Via::Token(claims) => !actions.iter().all(|action| claims.allows(action)),
            _ => false,
        };
        // Another token server may give what ours does not: there the account decides first, as no token helps that lacks the right.
        if is_beyond && matches!(self.login, Way::Tokens(_)) {
            return Authorization::InsufficientScope;
        }
        match self.authorize_account(principal, actions, tag, address) {
            Authorization::Allowed(_) if is_beyond => Authorization::InsufficientScope,
            decision => decision,
        }
    }

    fn authorize_account<'a>(
        &self,
        principal: &Principal,
        actions: &[Action<'a>],
        tag: Option<&str>,
        address: Option<IpAddr>,
    ) -> Authorization<'a> {
        if let Some(robot) = principal.robot()
            && let Some(&action) = actions.iter().find(|action| !robot.allows(action))
        {
            return Authorization::Forbidden(Box::new(Missing {
                action,
                comment: Some(format!("the token `{}` is not for it", robot.name()).into()),
                rule: None,
            }));
        }
        if principal.is_of_operator() {
            return Authorization::Allowed(Grant::default());
        }
        // A token of ours for a client without an account proves nothing; another token server knows what its token proves.
        let has_proof = match principal.via() {
            Via::Anonymous => false,
            Via::Token(_) => principal.actor().is_some() || matches!(self.login, Way::Tokens(_)),
            Via::Password | Via::Robot(_) | Via::Proxy => true,
        };
        if !has_proof && (self.rules.is_none() || actions.is_empty()) {
            return Authorization::Unauthenticated;
        }
        match &self.rules {
            None => Authorization::Allowed(Grant::default()),
            Some(Source::Configuration(rules)) => by_rules(rules, asker(principal, address), actions, tag),
            Some(Source::File(file)) => {
                file.with_current(|rules| by_rules(rules, asker(principal, address), actions, tag))
            }
        }
    }

    /// Whether `principal`, a client at `address`, may administer the registry: `access.admins` names its account, or a rule gives
    /// it `admin` on every repository. Tokens of a token server have no such right.
    pub fn administers(&self, principal: &Principal, address: Option<IpAddr>) -> bool {
        let verdict = |rules: Arc<Rules>| match rules.administers(asker(principal, address)) {
            Verdict::Allowed(_) => true,
            Verdict::Denied(_) => false,
        };
        principal.acts_as_account() && self.rules().is_some_and(verdict)
    }

    /// Finds out which client asks the token server for tokens, and with what they end.
    ///
    /// # Errors
    ///
    /// [`Reason`]: the credentials are not good, or were not checked. A bearer token gets no other one.
    pub async fn log_in(
        &self,
        credentials: &Credentials<'_>,
        address: Option<IpAddr>,
    ) -> Result<Login, Reason> {
        // Before the password is checked: if it is changed meanwhile, what is issued has ended already.
        let stamp = match (credentials, self.htpasswd()) {
            (Credentials::Bearer(_), _) => return Err(Reason::WrongScheme),
            (Credentials::Basic(basic), Some(users)) => users.stamp(basic.name()).await,
            _ => None,
        };
        let principal = self.authenticate(credentials, address).await?;
        let binding = match (principal.robot(), principal.account()) {
            (Some(robot), _) => Binding::Robot(robot.id(), robot.stamp()),
            (None, Some(_)) => Binding::User(stamp.ok_or(Reason::WrongCredentials)?),
            (None, None) => Binding::Time,
        };
        Ok(Login {
            principal,
            binding,
            expires: None,
        })
    }

    /// Finds out which client asks the token server with a refresh token.
    ///
    /// # Errors
    ///
    /// [`Reason`]: the token is not good, or was not checked.
    pub async fn redeem(&self, refresh: &[u8], address: Option<IpAddr>) -> Result<Login, Reason> {
        let _place = self.queue.enter(address.map(Network::of))?;
        self.refresh_rules().await;
        match &self.login {
            Way::Passwords {
                users,
                tokens: Some(tokens),
                ..
            } => tokens.redeem(refresh, users, SystemTime::now()).await,
            _ => Err(Reason::WrongScheme),
        }
    }

    /// The client of a browser with this session: the account, as if its password had come with the request. `None`: the session has
    /// ended with its user, or with the password that the user had.
    pub async fn of_session(&self, session: &Session) -> Option<Principal> {
        self.refresh_rules().await;
        let stamp = self.htpasswd()?.stamp(session.account()).await?;
        (stamp == session.stamp()).then(|| Principal::with_password(Arc::clone(session.account())))
    }

    /// What of `scopes` the client may do.
    pub fn cut_down(&self, principal: &Principal, scopes: &[Scope], address: Option<IpAddr>) -> Vec<Scope> {
        let allows = |action: &Action<'_>| {
            let decision = self.authorize(principal, std::slice::from_ref(action), None, address);
            matches!(decision, Authorization::Allowed(_))
        };
        scopes.iter().map(|scope| scope.cut_down(allows)).collect()
    }

    /// Whether every repository is open to `principal`: nothing that is found in one need be hidden from it in another.
    pub fn is_unrestricted(&self, principal: &Principal) -> bool {
        principal.acts_as_account() && !matches!(self.rules, Some(Source::File(_)))
    }

    /// The repositories and tags that `principal`, at `address`, may see; `None`: all of them, if it may see the catalogue at all.
    ///
    /// A token for the catalogue is one for the whole of it, as in registry:2.
    pub fn sight<'a>(&'a self, principal: &'a Principal, address: Option<IpAddr>) -> Option<Sight<'a>> {
        let rules = self.rules();
        let visible = match (principal.robot(), &rules) {
            // What its creator may see besides is looked at name by name.
            (Some(robot), _) => Visible::of(robot.repositories()),
            (None, Some(rules)) => rules.visible(asker(principal, address)),
            (None, None) => return None,
        };
        Some(Sight {
            rules,
            principal,
            address,
            visible,
        })
    }

    /// Looks at the file of rules if it changed.
    pub async fn refresh_rules(&self) {
        if let Some(Source::File(file)) = &self.rules {
            file.refresh().await;
        }
    }

    /// The rules in force; `None`: every account may do everything on repositories.
    pub fn rules(&self) -> Option<Arc<Rules>> {
        Some(match self.rules.as_ref()? {
            Source::Configuration(rules) => Arc::clone(rules),
            Source::File(file) => file.current(),
        })
    }

    /// The value of `WWW-Authenticate`, as Go writes it in registry:2. UTF-8.
    pub fn challenge(
        &self,
        origin: Option<Origin<'_>>,
        actions: &[Action<'_>],
        challenged: Challenged,
    ) -> String {
        match &self.login {
            Way::Passwords {
                tokens: Some(tokens), ..
            } => tokens
                .issuer()
                .challenge(origin, actions, challenged.token_error()),
            Way::Passwords { .. } => self.basic_challenge(),
            Way::Tokens(verifier) => {
                let verifier = verifier.current();
                verifier.challenge(origin, actions, challenged.token_error())
            }
        }
    }

    /// The value of `WWW-Authenticate` that asks for a password. UTF-8.
    pub fn basic_challenge(&self) -> String {
        let realm = match &self.login {
            Way::Passwords { realm, .. } => realm.as_str(),
            Way::Tokens(_) => "registry",
        };
        format!("Basic realm={}", go_quoted(realm))
    }

    /// Whether clients are asked for a token, and not for a password.
    pub fn takes_tokens(&self) -> bool {
        matches!(self.login, Way::Tokens(_)) || self.token_server().is_some()
    }

    /// The token server of this registry, if it has one.
    pub fn token_server(&self) -> Option<&TokenServer> {
        match &self.login {
            Way::Passwords { tokens, .. } => tokens.as_ref(),
            Way::Tokens(_) => None,
        }
    }

    /// The password file, if there is one.
    pub fn htpasswd(&self) -> Option<&Htpasswd> {
        match &self.login {
            Way::Passwords { users, .. } => Some(users),
            Way::Tokens(_) => None,
        }
    }

    /// Whether there are rules: without them every account may do everything.
    pub fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// The file of rules, if there is one.
    pub fn rules_file(&self) -> Option<&RulesFile> {
        match &self.rules {
            Some(Source::File(file)) => Some(file),
            _ => None,
        }
    }

    /// The state of each file that decides about clients, by what it has: `users`, `keys`, `rules`.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, FileStatus)> {
        let users = self.htpasswd().map(Htpasswd::status);
        let users = users.map(|status| FileStatus {
            problem: status.problem,
            findings: status.findings,
        });
        let rules = self.rules_file().map(RulesFile::status);
        let keys = match &self.login {
            Way::Tokens(verifier) => Some(verifier.status()),
            Way::Passwords { .. } => None,
        };
        let files = [("users", users), ("keys", keys), ("rules", rules)];
        files
            .into_iter()
            .filter_map(|(name, status)| Some((name, status?)))
    }

    /// What has to run beside requests.
    pub fn workers(&self) -> impl Iterator<Item = impl Worker + use<>> {
        self.htpasswd().map(Htpasswd::worker).into_iter()
    }
}

impl Challenged {
    fn token_error(self) -> Option<TokenError> {
        match self {
            Self::Anonymous => None,
            Self::Invalid => Some(TokenError::InvalidToken),
            Self::InsufficientScope => Some(TokenError::InsufficientScope),
        }
    }
}

impl Sight<'_> {
    /// The first name, not before `name`, of a repository that may be visible; it need not exist. `None` when there is none.
    pub fn next_from<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        self.visible.next_from(name)
    }

    /// Whether there may be a tag that the client may not see in a repository that it may.
    pub fn limits_tags(&self) -> bool {
        let rules = self.rules.as_ref();
        rules.is_some_and(|rules| rules.list().iter().any(|rule| !rule.tags.is_empty()))
    }

    /// Whether there may be a tag of `name` that the client may not see although it may see the repository.
    pub fn limits_tags_of(&self, name: &wharf_oci::RepoName) -> bool {
        let rules = self.rules.as_ref().filter(|_| !self.principal.is_of_operator());
        rules.is_some_and(|rules| rules.limit_tags_of(name.as_str(), asker(self.principal, self.address)))
    }

    /// Whether the client may pull from the repository, and, if `tag` is given, that tag.
    pub fn sees(&self, name: &wharf_oci::RepoName, tag: Option<&str>) -> bool {
        let pull = Action {
            resource: Resource::Repository(name),
            verb: Verb::Pull,
        };
        if self.principal.robot().is_some_and(|robot| !robot.allows(&pull)) {
            return false;
        }
        let rules = self.rules.as_ref().filter(|_| !self.principal.is_of_operator());
        rules.is_none_or(|rules| {
            let verdict = rules.decide(asker(self.principal, self.address), pull, tag);
            matches!(verdict, Verdict::Allowed(_))
        })
    }
}

/// What `rules` say about the `actions` of a client.
fn by_rules<'a>(
    rules: &Rules,
    asker: Asker<'_>,
    actions: &[Action<'a>],
    tag: Option<&str>,
) -> Authorization<'a> {
    let mut grant = Grant::default();
    for &action in actions {
        match rules.decide(asker, action, tag) {
            Verdict::Allowed(rule) => {
                grant.creates_only |= rule.creates_only && action.verb == Verb::Push;
            }
            // Each account may ask for the list of the repositories that it may see.
            Verdict::Denied(_) if action.resource == Resource::Catalog && asker.account.is_some() => {}
            Verdict::Denied(_) if asker.account.is_none() => return Authorization::Unauthenticated,
            Verdict::Denied(rule) => {
                return Authorization::Forbidden(Box::new(Missing {
                    action,
                    comment: rule.and_then(|rule| rule.comment.clone()),
                    rule: rule.map(|rule| rule.origin),
                }));
            }
        }
    }
    Authorization::Allowed(grant)
}

fn asker(principal: &Principal, address: Option<IpAddr>) -> Asker<'_> {
    Asker {
        account: principal.account().map(|account| &**account),
        groups: principal.groups(),
        address,
    }
}
