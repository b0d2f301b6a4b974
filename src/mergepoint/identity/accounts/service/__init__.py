"""What the accounts app does: plain classes that are handed clock, store and settings.

`service.accounts.open_accounts(settings, clock)` gives all of them as one `Accounts`; its fields
are the vocabulary: `accounts.people.search(...)`, `accounts.sessions.of(sub)`.

A login, in the order of its calls (each returns a `logins.Step` with the cookies to set):

    logins.password(user, password, caller, browser)       IN, FACTOR, ENROL, WRONG, WAIT
    logins.code(step.attempt, code, caller, browser)       FACTOR: a code was typed
    logins.complete(step.attempt, amr, caller, browser)    FACTOR: a passkey; ENROL: one is set up
    logins.proven(sub, amr, caller, browser)               a passkey, a provider
    logins.after_password(person, caller, browser)         a password set through a link

Inside a session, for a fresh proof: `logins.again`, `again_code`, `stronger`. Links that make or
mend an account: `joining.accept`, `joining.reset`. After every request that wrote, an answer with
`caller.position` above 0 carries it as ``Mergepoint-Feed``.
"""
