//! What the services of this crate say, in words.

use wharf_message::messages;

messages! {
    /// Why a request for a page, or an operation, was refused.
    pub(crate) enum Refused in "denied" {
        /// There is nothing at the address.
        NoPage = "no-page", "there is no page at this address";
        /// The method is another.
        Method { text allow: &'static str } = "method", "this address takes {allow}";
        /// Anonymous clients have none.
        NeedsAccount = "needs-account", "this is for accounts; sign in first";
        /// The page is for administrators.
        NeedsAdmin = "needs-admin", "this needs the right `admin`; `access.admins`, or a rule, gives it";
        /// The operator lets pages change nothing.
        PageOnlyShows = "page-only-shows", "this page only shows (`ui.readonly`); use a command, or the API";
        /// A deletion of nothing.
        NothingChosen = "nothing-chosen", "nothing is chosen; go back, and choose tags";
        /// A tag cannot be put back.
        CannotRestore { text image: String } = "cannot-restore", "this needs the rights to pull and to push `{image}`, and a page that may change something";
        /// The history lacks a manifest.
        NoSuchPast { text image: String, text digest: String } = "no-such-past", "the history of `{image}` has no manifest `{digest}`";
        /// A form of another site.
        ForeignForm = "foreign-form", "a browser sent this form for a page of another site, or a program sent it that is no browser; open the page of this registry, and use its buttons";
        /// A token, where an account is needed.
        TokenOnly { text actor: String } = "token-only", "`{actor}` came with a token, which may do this for no account; log in with the password of the account";
        /// An anonymous client, where an account is needed.
        ForAccounts = "for-accounts", "this is for accounts; log in with a user name and a password";
        /// A right is missing.
        LacksRight { text actor: String, text right: &'static str } = "lacks-right", "`{actor}` lacks the right `{right}`; `access.admins`, or a rule, gives it, and the operator at the control socket has it";
        /// An anonymous client lacks a right.
        NeedsRight { text right: &'static str } = "needs-right", "this needs the right `{right}`, which the operator at the control socket has";
        /// An anonymous client.
        LogIn = "log-in", "log in first: `-u NAME` for curl, which asks for the password";
        /// A browser asks for another site.
        OtherSite = "other-site", "a page of another site may change nothing here";
        /// The store can only be read.
        ReadOnly = "read-only", "the store can only be read (`storage.maintenance.readonly`); nothing was changed";
        /// The cause is in the log.
        Failed = "failed", "the server failed; its operator finds the reason in the log, by the id of this request";
        /// Nothing is collected.
        NoCollector = "no-collector", "this server collects no garbage, because its store can only be read (`storage.maintenance.readonly`)";
        /// No password file.
        NoUsers = "no-users", "this server has no password file; name one with `auth.htpasswd.path`, and restart the server";
        /// Robot tokens are off.
        NoTokens = "no-tokens", "this registry takes no robot tokens; set `access.tokens.enabled: true`, and restart the server";
        /// An empty password.
        EmptyPassword = "empty-password", "an empty password lets every client in; `--generate` makes a good one";
    }
}

messages! {
    /// Why figures are missing.
    pub(crate) enum Unknown in "unknown" {
        /// Some counts of pulls are gone.
        SomePulls = "some-pulls", "some counts of pulls cannot be read, or there are too many: pulls are left out";
        /// The store does not give the counts.
        Pulls = "pulls", "the counts of pulls cannot be read, and are left out; the server's log says why";
        /// There is no activity log.
        NotCounted = "not-counted", "nothing is counted, because there is no activity log (`activity.disabled`), or the store can only be read";
        /// What was never pulled cannot be told.
        NeverPulled = "never-pulled", "which images were never pulled is not known: counts were forgotten, or cannot be read";
        /// Not all tags were looked at.
        FirstTags { number n: usize, number repositories: usize, number most: usize } = "first-tags", "images that were never pulled were looked for among {n} tags of {repositories} repositories alone, at most {most} of each";
        /// The sizes of past days cannot be read.
        Growth = "growth", "what was stored on each day cannot be read; the server's log says why";
    }
}

messages! {
    /// Why files are missing, or were not compared.
    pub(crate) enum MissingFiles in "files" {
        /// The image has fewer layers.
        NoLayer { number number: usize, number n: usize } = "no-layer", "the image has no layer {number}: it has {n}";
        /// The layer is not there.
        LayerMissing = "layer-missing", "the layer is not in the repository, or damaged; push the image again, or restore it from a backup";
        /// The layer has other bytes.
        LayerDamaged = "layer-damaged", "the stored bytes of the layer are damaged; push an image with this layer again, or restore the blob from a backup";
        /// The layer has more files than are kept.
        Many { number n: usize } = "many", "the layer has more files than are shown: those after the first {n} are missing; `wharf ls` lists them all";
        /// Reading the layer took too long.
        Slow { number n: usize } = "slow", "reading the layer takes too long: the files after the first {n} are missing; `wharf ls` lists them all";
        /// The files were not compared; why follows.
        NotCompared = "not-compared", "files";
        /// The configurations were not compared; why follows.
        ConfigNotCompared = "config-not-compared", "configuration";
        /// It is a certain layer; what it is follows.
        InLayer { number number: usize } = "in-layer", "layer {number}";
        /// It is a certain image; what it is follows.
        InImage { text image: String } = "in-image", "`{image}`";
    }
}

messages! {
    /// Why a run of a worker ended early.
    pub(crate) enum EndedEarly in "ended" {
        /// The process ended while it checked.
        CheckStopped = "check-stopped", "the server stopped, or the check panicked";
        /// Another process checks.
        CheckedElsewhere { text host: String } = "checked-elsewhere", "`{host}` checks the store meanwhile";
        /// Another process collects.
        Elsewhere { number n: u64 } = "elsewhere", "another server of this store collects, or stopped while it did; ask again in {n} minutes";
        /// Another program writes to the store.
        ForeignWriter { text time: String } = "foreign-writer", "collection paused: another registry, which does not know of this collector, wrote to the store at {time}; stop it, or set `collect.foreignwriters: ignore`";
        /// The process ended while it collected.
        CollectionStopped = "collection-stopped", "the server stopped, or the collection panicked";
    }
}
