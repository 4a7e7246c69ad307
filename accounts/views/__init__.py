"""The pages of signing in and of one's own account: parse, call one service, answer."""
