// The certified OpenID Provider of the tests: npm oidc-provider with its own store in memory and a sign-in page of ours.
// PORT, BROKER (its address), CONNECTOR (its name there) and ACCOUNTS (a JSON file, read anew each time) come from outside.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import Provider from 'oidc-provider';

const { PORT, BROKER, CONNECTOR, ACCOUNTS } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;
const accounts = () => JSON.parse(readFileSync(ACCOUNTS, 'utf8'));

// Names under .localhost are this machine (RFC 6761); the resolver here may not know that.
const fetchHere = (url, { method = 'GET', headers, body }) => new Promise((resolve, reject) => {
  const at = new URL(url);
  const options = { method, host: '127.0.0.1', port: at.port, path: at.pathname + at.search };
  const sent = request({ ...options, headers: { ...Object.fromEntries(new Headers(headers)), host: at.host } }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => resolve(new Response(Buffer.concat(parts), { status: answer.statusCode })));
  });
  sent.on('error', reject);
  sent.end(body?.toString());
});

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'postern',
    client_secret: 'a secret + of/the tests',
    redirect_uris: [`${BROKER}/oidc/${CONNECTOR}/callback`],
    post_logout_redirect_uris: [`${BROKER}/sign-in`],
    backchannel_logout_uri: `${BROKER}/oidc/${CONNECTOR}/backchannel-logout`,
    backchannel_logout_session_required: true,
    require_auth_time: true,
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  acrValues: ['gold'],
  claims: {
    auth_time: null, iss: null, sid: null,
    openid: ['sub', 'amr', 'acr'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'],
  },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: process.env.USERINFO === '1', // true: these claims come from UserInfo alone
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  fetch: fetchHere,
  ttl: { Session: 3600, Interaction: 600, Grant: 3600, IdToken: 300, AccessToken: 300 },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true },
  },
  async findAccount(_, id) {
    const known = accounts()[id];
    return known && { accountId: id, claims: async () => ({ sub: id, ...known }) };
  },
  async loadExistingGrant(ctx) { // everybody says yes to the one client there is
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile groups');
    await grant.save();
    return grant;
  },
});

provider.on('backchannel.error', (_, error) => console.log('backchannel.error', error.message));
provider.on('backchannel.success', () => console.log('backchannel.success'));
provider.on('server_error', (_, error) => console.log('server_error', error.stack));

const read = async (req) => {
  const parts = [];
  for await (const part of req) parts.push(part);
  return new URLSearchParams(Buffer.concat(parts).toString());
};

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  if (ctx.method !== 'POST') {
    ctx.type = 'html';
    ctx.body = `<!doctype html><title>Sign in</title><form method="post"><input name="login" autofocus>
      <input name="amr"><button>Sign in</button></form>`;
    return undefined;
  }
  const form = await read(ctx.req);
  if (form.get('login') === 'nobody') {
    const refused = { error: 'access_denied', error_description: 'the person said no' };
    await provider.interactionFinished(ctx.req, ctx.res, refused);
  } else {
    const amr = form.get('amr')?.split(' ').filter(Boolean) ?? [];
    const login = { accountId: form.get('login'), ...(amr.length ? { amr } : {}) };
    await provider.interactionFinished(ctx.req, ctx.res, { login }, { mergeWithLastSubmission: false });
  }
  ctx.respond = false;
  return undefined;
});

provider.listen(Number(PORT), '127.0.0.1', () => console.log(`ready ${issuer}`));
