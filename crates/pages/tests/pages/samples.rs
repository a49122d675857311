//! Samples of all views, filled from a source of values.
//!
//! A sample has every field of its view, so a new field that is missing here does not compile. What follows `;` are paths that the server
//! makes.

use wharf_pages::*;

use crate::source::{Sample, Source};

macro_rules! samples {
    ($($name:ident { $($field:ident),* $(,)? $(; $($url:ident),*)? })*) => {
        $(impl Sample for $name {
            fn sample(from: &mut Source) -> Self {
                Self {
                    $($field: Sample::sample(from),)*
                    $($($url: from.url(),)*)?
                }
            }
        })*
    };
}

samples! {
    Page {
        lang, theme, now, site, alone, account, signs_in, changes, csrf, query, banners, notice, version, secure, nav; logo, root, assets, here }
    Caller { name, admin, leaves }
    Banner { tone, icon, title, text }
    Notice { text, is_warning; undo }
    NavGroup { label, items }
    NavItem { path, icon, label, current, count }
    Column { label, sorted, number; href }
    Pages { shown; next, first }
    Field { name, value, wrong, required, autocomplete }
    Command { program, text }
    Link { label; href }
    Hidden { name, value }
    Choice { value, chosen }
    NamedChoice { value, name, chosen }
    SignIn { page, to, resumes, wrong, anonymous, kept, account }
    Account { page, name, admin, leaves, via, ends, sessions, rights, clients }
    SignedIn { id, browser, address, since, used, own }
    Keys { page }
    Activity { page, own, repository, account, actions, since, until, pages, entries }
    ActivityEntry { time, action, times, account, what, address, client, result, tone; href }
    Artifact { page, subject, chart, sbom, wasm, unknown, blobs, more_blobs, labels }
    Chart { facts, dependencies }
    Sbom { total, format, packages, pages }
    SbomPackage { name, version, licence }
    Blob { title, media_type, size, digest, problem; download }
    Collection { page, starts, off, running, last, next, why_digest, why }
    RunningCollection { phase, done, of, garbage, freed, started }
    EndedCollection { error, freed, waiting, ended, took, repositories, deletions, findings }
    Why { verdict, kept }
    Kept { by, name, path; href }
    Compare { page, repository, from, to, names, platforms, sum, result }
    Comparison {
        same, config, layers_same, layers_added, layers_removed, layers, files_added, files_removed,
        files_changed, files_note, files, pages,
    }
    Change { change, name, before, after }
    Connect { page, host, has_ca, plain, clients }
    Client { id, name, steps }
    ClientStep { label, lines, block, file }
    Delete {
        page, kind, repository, id, changed, refused, fields, tags_total, manifests_total, free, shared,
        shared_with, uncertain, tags, manifests, history, more_goes, stays, more_stays, earlier, trash_days,
        type_name, confirm_wrong, now, applies,
    }
    GoingTag { name, digest }
    GoingManifest { role, digest }
    Staying { tag, digest, why }
    ErrorPage { page, status, title, text, kind, detail, similar, signs_in, retries, request_id }
    Confirm { page, title, back_label, wrong, hidden, effects, password, dangerous, button; back, action }
    Files {
        page, repository, reference, number, digest, step, hidden, q, total, problem, path, pages, files; image, here }
    File { name, icon, size, mode, owner, target, removed, modified; href }
    History { page, name, repository, tag, pages, entries, more }
    HistoryEntry { since, digest, current, available, size, restores; href, compare, restore }
    Rollback { page, name, repository, tag, refused, to, from }
    PastManifest { digest, since }
    Image { page, subject, platforms, more_platforms, build, labels }
    Subject {
        name, repository, reference, is_tag, address, kind, signed, deletes, problem, left_out, description,
        size, pushed, built, pulls, pulled, digest, sections, commands, more_commands, referrers_total,
        more_referrers, referrer_groups, tags, tags_total, recent, media_type; delete, raw }
    Section { current, label, count; href }
    ReferrerGroup { kind, items }
    Referrer { label, size; href }
    RecentManifest { since, digest, current }
    ImagePlatform { name, current, size, digest, kind, problem; href }
    Build { layers, layers_total, base, steps, config, env }
    BaseImage { name, layers; href }
    Layer { number, base, size, step, digest, problem; files }
    BuildStep { base, word, rest, size }
    Checks { page, scrub, checks, waits_for, running, fsck, findings }
    CheckRun { done, of, read, began }
    Scrub { damaged, off, done, of, read, began, last, rate }
    FullCheck { ended, sum }
    Finding { tone, severity, text, hint, images, more }
    Repositories { page, view, nodes, q, total, commands, pages, columns, problem }
    Directory { label, repositories; href }
    RepositoryRow { label, name, tags, size, pushed, pulled, pulls, problem, damaged }
    Search { page, q, places, hits, pages, incomplete }
    SearchHit { name, digest, matches; href }
    Match { within, before, hit, after }
    Retention {
        page, applies, protect, rules, last, next, repositories, tags, keep, older, not_pulled, untagged,
        preview,
    }
    ConfiguredRule { selects, kind, keeps }
    EndedRetention { ended, tags }
    RetentionPreview { sum, bytes, pages, plans }
    RetentionPlan { repository, sum, applies, id, fields, going, refused, more, verdicts }
    RetentionVerdict { tag, goes, pushed, why }
    Rules { page, file, problem, warnings, rules, account, repository, tag, rights, from, decision }
    Rule { line, effect, tone, actions, accounts, repositories, comment, tags, create_only, decides, from }
    Decision { tone, icon, verdict, reason, line }
    Servers { page, failing, commit, engine, started, replicas, workers }
    FailingCheck { name, reason }
    Replica { host, state, tone, own, differs, leases, version, address, started }
    Worker { name, state, tone, detail, error }
    Configuration { page, file, warnings, q, shows_defaults, sections }
    ConfigSection { name, settings }
    Setting { key, value, secret, origin, place }
    Certificates { page, has_ca, certificates }
    Certificate { subject, tone, icon, state, hosts, ends, issuer, key, source, fingerprint, advice }
    Tags {
        page, repository, address, parents, description, compares, deletes, problem, tags_total, size,
        untagged, pushed, pulls, example, commands, q, sort, shows_untagged, rows, columns, pages, left_out,
    }
    TagRow {
        tag, reference, untagged, pull, deletes, kind, protected, attached, problem, platforms, more_platforms,
        size, pushed, pulled, pulls, digest; path }
    TagPlatform { name, title, size }
    Tokens { page, secret, pages, tokens, name, repositories, rights, lifetimes }
    Secret { title, text, commands }
    Token { name, repositories, actions, creator, expires, used, expired }
    Traffic { page, spans, counted_since, charts, most, never, problem }
    TrafficChart { name, bytes, sum, since, days, lines }
    Series { name, values }
    TrafficImage { name, pulls, pulled, size, pushed }
    Trash { page, days, empties, q, pages, damaged, rows }
    DamagedRecord { id, problem }
    TrashRow { id, repository, kind, tags, manifests, actor, surface, time, expires, restores }
    TrashRecord {
        page, id, kind, repository, actor, time, expires, restores, purges, left_alone, tags, tags_total,
        manifests, layers,
    }
    LeftAlone { tag, deleted, current }
    TrashTag { tag, digest, since, history }
    Disk { page, problem, size, free, capacity, trash, total, rows }
    DiskRow { name, size, unique, shared, problem }
    Users { page, file, secret, pages, users, name, password }
    User { name, query, tokens, admin, own, problem }
}

/// The names of all views with the HTML of a sample of each.
pub(crate) fn pages(from: &Source) -> Vec<(&'static str, String)> {
    fn page<V: View + Sample>(from: &Source) -> String {
        V::sample(&mut from.clone()).html().unwrap()
    }
    macro_rules! pages {
        ($($view:ident)*) => { vec![$((stringify!($view), page::<$view>(from))),*] };
    }
    pages! {
        SignIn Account Keys Activity Artifact Collection Compare Connect Delete ErrorPage Confirm Files
        History Rollback Image Checks Repositories Search Retention Rules Servers Configuration Certificates
        Tags Tokens Traffic Trash TrashRecord Disk Users
    }
}
