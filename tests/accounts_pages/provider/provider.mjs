// A certified OpenID Connect provider on this machine, for the tests of the accounts pages.
//
// Place:  tests/accounts_pages/openid.py -> [provider.mjs] -> oidc-provider
// Rule:   standard in: one JSON line with clients and people; standard out: one line with the issuer.

import { createInterface } from "node:readline";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const [line] = await (async () => {
  for await (const text of createInterface({ input: process.stdin })) return [text];
})();
const { clients, people } = JSON.parse(line);

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    claims: {
      openid: ["sub"],
      profile: ["name", "preferred_username"],
      email: ["email", "email_verified"],
      groups: ["groups"],
    },
    scopes: ["openid", "profile", "email", "groups"],
    pkce: { required: () => true },
    cookies: { keys: ["of no use to anybody but this test"] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => people[id] && {
      accountId: id,
      claims: () => ({ sub: id, ...people[id] }),
    },
    ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Session: 3600, Grant: 3600 },
  });
  server.on("request", provider.callback());
  process.stdout.write(`${issuer}\n`);
});
