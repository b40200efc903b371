"""Finding Redis and connecting to it, wherever its primary is.

`url` reads where it is, `clients` builds clients for that (`primary`: connections that find it again after a fail-over;
`link`: one without a pool, for who uses it all the time), `connections` does so for a process with its settings.
`server_check` and `namespace_check` tell whether the server and the keys in it are fit. Nothing here knows of messages.
"""
