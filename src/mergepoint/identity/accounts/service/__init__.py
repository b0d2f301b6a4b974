"""What the accounts app does: plain classes that are handed clock, store and settings.

`service.accounts.open_accounts(settings, clock)` gives all of them as one `Accounts`; its fields are
the vocabulary: `accounts.people.search(...)`, `accounts.sessions.of(sub)`, `accounts.tokens.of(sub)`.

A login, in the order of its calls (each returns a `logins.Step` with the cookies to set):

    step = accounts.logins.password(user, password, caller, browser)       # IN, FACTOR, ENROL, ...
    step = accounts.logins.code(step.attempt, code, caller, browser)       # FACTOR: a code
    step = accounts.logins.complete(step.attempt, amr, caller, browser)    # FACTOR, ENROL: proven by
                                                                           # a passkey, or set up now
    step = accounts.logins.proven(sub, amr, caller, browser)               # passkey, provider
    step = accounts.logins.after_password(person, caller, browser)         # after a link's password

Inside a session, for a fresh proof: `logins.again`, `again_code`, `stronger`. Links that make or
mend an account: `joining.accept`, `joining.reset`. After every request that wrote, an answer with
`caller.position` above 0 carries it as ``Mergepoint-Feed``.
"""
