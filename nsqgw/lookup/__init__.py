"""Finding nsqds: nsqlookupd asked over HTTP, once or again and again; who connects is not decided here."""
