"""Makes calls of iiblib as they come on stdin, one JSON object a line, and answers each with one on stdout.

{"call": name of a method, "args": {...}, "wait": whether to wait for the build's end, "auth": "none|basic|kerberos"}
"""

import json
import sys

from iiblib.iib_authentication import IIBBasicAuth, IIBKrbAuth
from iiblib.iib_build_details_model import IIBBuildDetailsModel
from iiblib.iib_build_details_pager import IIBBuildDetailsPager
from iiblib.iib_client import IIBClient

HOST = sys.argv[1]
AUTH = {
    "none": lambda: None,
    "basic": lambda: IIBBasicAuth("user", "password"),
    "kerberos": lambda: IIBKrbAuth("ignored", HOST),
}


def shown(value):
    if isinstance(value, IIBBuildDetailsPager):
        return {"page": value.page, "meta": value.meta, "items": [shown(item) for item in value.items()]}
    if isinstance(value, IIBBuildDetailsModel):
        return {"model": type(value).__name__, **value.to_dict()}
    return value


def answer(call, args=None, wait=False, auth="kerberos", turn=None):
    client = IIBClient(HOST, auth=AUTH[auth](), poll_interval=0.2, wait_for_build_timeout=120, backoff_factor=0)
    if call == "wait_for_build":
        return shown(client.wait_for_build(client.get_build(**args)))
    result = getattr(client, call)(**(args or {}))
    for step in turn or []:
        getattr(result, step)()
    return shown(client.wait_for_build(result) if wait else result)


for line in sys.stdin:
    try:
        print(json.dumps({"result": answer(**json.loads(line))}), flush=True)
    except Exception as failure:  # whatever a client raises is what the test wants to see
        print(json.dumps({"raised": type(failure).__name__, "text": str(failure)}), flush=True)
