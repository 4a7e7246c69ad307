"""OpenID Connect, the relying party's side: what is asked of providers, and what is believed of their answers."""
