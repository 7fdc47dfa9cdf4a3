"""Validates hooks of GitLab with the models of pydantic-gitlab-webhooks.

Each line on stdin is {"event": X-Gitlab-Event, "body": body}; the answer is one JSON line: the class it was read as, or
what is wrong with it, as [place, kind of error].
"""

import json
import sys

from pydantic import ValidationError
from pydantic_gitlab_webhooks import validate_event_header_and_body_dict

for line in sys.stdin:
    hook = json.loads(line)
    try:
        event = validate_event_header_and_body_dict(hook["event"], hook["body"])
        print(json.dumps({"read": type(event).__name__}), flush=True)
    except ValidationError as failure:
        wrong = [[".".join(map(str, error["loc"])), error["type"]] for error in failure.errors()]
        print(json.dumps({"wrong": wrong}), flush=True)
