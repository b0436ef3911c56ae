// An authenticator: bearer tokens that stand in the manifest. The modules `wasmgate:plugin/*` are generated from wit/.

import type { Authenticated } from "wasmgate:plugin/authenticator@0.2.0";
import type { Request } from "wasmgate:plugin/requests@0.2.0";
import type { Json } from "wasmgate:plugin/types@0.2.0";

interface Token {
  token: string;
  user: string;
  groups?: string[];
}

let tokens: Token[] = [];

export const plugin = {
  configure(config: Json): void {
    const given = (JSON.parse(config) as { tokens?: Token[] } | null)?.tokens ?? [];
    const lacking = given.findIndex(({ token, user }) => !token || !user);
    if (lacking >= 0) throw `config.tokens[${lacking}]: token and user are needed`;
    tokens = given;
  },
};

export const authenticator = {
  authenticate(request: Request, _input: Json): Authenticated | undefined {
    const shown = request.credentials()?.bearerToken ?? "";
    const found = tokens.filter(({ token }) => same(token, shown))[0];
    return found && { user: { name: found.user, uid: "", groups: found.groups ?? [], extra: [] }, audiences: undefined };
  },
};

/** How long it takes does not tell how much of it is right. */
function same(known: string, shown: string): boolean {
  let difference = known.length ^ shown.length;
  for (let at = 0; at < shown.length; at++) difference |= known.charCodeAt(at % known.length) ^ shown.charCodeAt(at);
  return difference === 0;
}
