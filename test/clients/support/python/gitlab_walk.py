"""Walks through a GitLab with python-gitlab, and answers what it saw.

Each line on stdin names a part of the walk; what it saw comes as one JSON object a line on stdout. The parts build on one
another. GITLAB_URL, GITLAB_TOKEN and GITLAB_PROJECT say where.
"""

import json
import os
import sys
import time

import gitlab

PATH = os.environ["GITLAB_PROJECT"]
client = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token=os.environ["GITLAB_TOKEN"], timeout=30)
project = None
memory = {}


def until(what, good):
    """Asks again until the answer is good; the deadline only ends a walk that hangs."""
    deadline = time.monotonic() + 60
    while not good(seen := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(str(seen))
        time.sleep(0.05)
    return seen


def refused(call):
    """The class, code and text of the error a call must end with."""
    try:
        call()
    except gitlab.exceptions.GitlabError as error:
        return [type(error).__name__, error.response_code, error.error_message]
    raise AssertionError("not refused")


def lookup():
    global project
    client.auth()
    project = client.projects.get(PATH)
    return {
        "user": client.user.username,
        "version": client.version()[0] != "unknown",
        "project": [project.path_with_namespace, project.default_branch],
        "by_id": client.projects.get(project.id).name,
        "found": [each.path for each in client.projects.list(search=project.path, iterator=True)],
        "absent": refused(lambda: client.projects.get("no/such")),
        "anonymous": refused(lambda: gitlab.Gitlab(client.url, private_token="wrong").auth()),
    }


def branches():
    made = project.branches.create({"branch": "topic/one", "ref": project.default_branch})
    names = [branch.name for branch in project.branches.list(get_all=True)]
    tip = project.branches.get("topic/one").commit["id"]
    again = refused(lambda: project.branches.create({"branch": "topic/one", "ref": project.default_branch}))
    project.branches.delete("topic/one")
    return {
        "names": names,
        "same_tip": tip == made.commit["id"],
        "again": again,
        "gone": refused(lambda: project.branches.get("topic/one")),
        "protected": [
            (branch.name, branch.allow_force_push, [level["access_level"] for level in branch.push_access_levels])
            for branch in project.protectedbranches.list(get_all=True)
        ],
    }


def commits():
    project.files.create(
        {"file_path": "b/c.txt", "branch": "main", "content": "first\n", "commit_message": "Make a file"}
    )
    commit = project.commits.create(
        {
            "branch": "change",
            "start_branch": "main",
            "commit_message": "Change all\n\nof it",
            "actions": [
                {"action": "update", "file_path": "README.md", "content": "changed\n"},
                {"action": "create", "file_path": "a/new.bin", "content": "AAEC", "encoding": "base64"},
                {"action": "move", "file_path": "b/d.txt", "previous_path": "b/c.txt", "content": "moved\n"},
                {"action": "chmod", "file_path": "run.sh", "execute_filemode": True},
                {"action": "delete", "file_path": "old.txt"},
            ],
        }
    )
    memory["sha"] = commit.id
    diff = project.commits.get(commit.id).diff(get_all=True)
    return {
        "title": [commit.title, commit.message],
        "stats": commit.stats,
        "paths": sorted(each["new_path"] for each in diff),
        "file": project.files.get("README.md", ref="change").decode().decode(),
        "binary": list(project.files.raw("a/new.bin", ref="change")),
        "tree": sorted(
            (item["path"], item["mode"])
            for item in project.repository_tree(ref="change", recursive=True, get_all=True)
            if item["type"] == "blob"
        ),
        "log": [each.title for each in project.commits.list(ref_name="change", get_all=True)][:2],
        "compared": [each["title"] for each in project.repository_compare("main", "change")["commits"]],
        "refused": refused(
            lambda: project.commits.create(
                {
                    "branch": "change",
                    "commit_message": "No",
                    "actions": [{"action": "update", "file_path": "nowhere", "content": ""}],
                }
            )
        ),
    }


def statuses():
    commit = project.commits.get(memory["sha"])
    for state in ["running", "success"]:
        commit.statuses.create(
            {"state": state, "name": "check", "description": f"is {state}", "target_url": "https://example.com/run"}
        )
    commit.statuses.create({"state": "failed", "name": "other"})
    return {
        "all": sorted((each.name, each.status, each.description) for each in commit.statuses.list(get_all=True)),
        "unknown": refused(lambda: commit.statuses.create({"state": "happy", "name": "check"}))[:2],
    }


def merge_requests():
    made = project.mergerequests.create(
        {"source_branch": "change", "target_branch": "main", "title": "Change all", "remove_source_branch": True}
    )
    get = lambda: project.mergerequests.get(made.iid)  # noqa: E731
    settled = lambda request: request.detailed_merge_status not in ("checking", "unchecked", "preparing")  # noqa: E731
    until(get, settled)
    twice = refused(
        lambda: project.mergerequests.create({"source_branch": "change", "target_branch": "main", "title": "Again"})
    )
    project.commits.create(
        {
            "branch": "main",
            "commit_message": "Elsewhere",
            "actions": [{"action": "create", "file_path": "elsewhere", "content": ""}],
        }
    )
    get().rebase()
    rebased = until(
        lambda: project.mergerequests.get(made.iid, include_rebase_in_progress=True),
        lambda request: not request.rebase_in_progress and request.sha != memory["sha"],
    )
    request = until(get, settled)
    request.title = "Change all of it"
    request.save()
    seen = {
        "opened": [made.state, made.author["username"], made.sha == memory["sha"]],
        "twice": twice,
        "listed": [each.iid for each in project.mergerequests.list(state="opened", source_branch="change", get_all=True)],
        "rebased": [rebased.merge_error, rebased.diff_refs["head_sha"] == rebased.sha],
        "commits": [commit.title for commit in request.commits()],
        "changes": sorted(change["new_path"] for change in request.changes()["changes"]),
        "other_head": refused(lambda: request.merge(sha="0" * 40)),
    }
    request.merge(sha=request.sha, should_remove_source_branch=True)
    merged = until(get, lambda request: request.state == "merged")
    seen["merged"] = [merged.title, merged.sha == rebased.sha, merged.merged_by["username"]]
    seen["in_main"] = merged.merge_commit_sha in [commit.id for commit in project.commits.list(ref_name="main", all=True)]
    until(lambda: [branch.name for branch in project.branches.list(get_all=True)], lambda names: "change" not in names)
    seen["merged_twice"] = refused(lambda: merged.merge())
    memory["iid"] = made.iid
    return seen


def notes():
    request = project.mergerequests.get(memory["iid"])
    note = request.notes.create({"body": "Well done"})
    note.body = "Very well done"
    note.save()
    bodies = [(each.author["username"], each.body) for each in request.notes.list(get_all=True) if not each.system]
    discussion = request.discussions.create({"body": "Why?"})
    discussion.notes.create({"body": "Because"})
    thread = [each["body"] for each in request.discussions.get(discussion.id).attributes["notes"]]
    note.delete()
    return {"bodies": bodies, "thread": thread, "gone": refused(lambda: request.notes.get(note.id))}


def hooks():
    hook = project.hooks.create(
        {"url": "http://127.0.0.1:9/hook", "token": "never shown", "merge_requests_events": True, "push_events": False}
    )
    hook.note_events = True
    hook.save()
    seen = project.hooks.get(hook.id)
    listed = len(project.hooks.list(get_all=True))
    hook.delete()
    return {
        "hook": [seen.url, seen.merge_requests_events, seen.push_events, seen.note_events],
        "token": "token" in seen.attributes,
        "listed": [listed, len(project.hooks.list(get_all=True))],
    }


def members():
    helper = client.users.list(username="helper")[0]
    member = project.members.create({"user_id": helper.id, "access_level": gitlab.const.AccessLevel.REPORTER})
    member.access_level = gitlab.const.AccessLevel.DEVELOPER
    member.save()
    inherited = project.members_all.get(helper.id).access_level
    names = sorted(each.username for each in project.members.list(get_all=True))
    member.delete()
    return {
        "level": inherited,
        "names": names,
        "gone": refused(lambda: project.members.get(helper.id)),
    }


def pages():
    for number in range(5):
        project.branches.create({"branch": f"page-{number}", "ref": "main"})
    first = project.branches.list(search="^page-", per_page=2, iterator=True)
    tree = project.repository_tree(recursive=True, per_page=2, pagination="keyset", iterator=True)
    return {
        "counts": [first.total, first.total_pages, first.per_page, first.current_page, first.next_page],
        "all": [branch.name for branch in first],
        "one": [branch.name for branch in project.branches.list(search="^page-", per_page=2, page=3, get_all=False)],
        "keyset": len([item["path"] for item in tree]),
        "at_once": len(project.repository_tree(recursive=True, get_all=True)),
        "projects": [
            each.path for each in client.projects.list(pagination="keyset", order_by="id", per_page=1, iterator=True)
        ],
    }


WALK = [lookup, branches, commits, statuses, merge_requests, notes, hooks, members, pages]
PARTS = {part.__name__: part for part in WALK}

for line in sys.stdin:
    try:
        print(json.dumps({"saw": PARTS[line.strip()]()}), flush=True)
    except Exception as failure:  # whatever it stumbles over is what the test wants to see
        print(json.dumps({"raised": type(failure).__name__, "text": str(failure)}), flush=True)
