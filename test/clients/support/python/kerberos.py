"""Takes the place of the C module of this name: the ticket is the principal in KERBEROS_PRINCIPAL, in base64."""

import base64
import os


class KrbError(Exception):
    pass


def authGSSClientInit(service):
    if not service.startswith("HTTP@"):
        raise KrbError("no such service: %s" % service)
    return 1, {}


def authGSSClientStep(context, challenge):
    context["ticket"] = base64.b64encode(os.environ["KERBEROS_PRINCIPAL"].encode()).decode()
    return 1


def authGSSClientResponse(context):
    return context["ticket"]
