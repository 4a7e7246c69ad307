"""The console's pages: parse, ask one service, show."""
