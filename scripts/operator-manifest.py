"""Asks operator-manifest about every ClusterServiceVersion below a directory; prints JSON by path. A tool of tests."""
import hashlib
import json
import multiprocessing
import pathlib
import sys

from operator_manifest.operator import ImageName, NotOperatorCSV, OperatorCSV


def digest_of(image):
    """The digest that stands for a tag, the same here and in the test."""
    return "sha256:" + hashlib.sha256(str(image).encode()).hexdigest()


def pin(csv):
    replacements = {}
    for image in csv.get_pullspecs():
        if ":" not in image.tag:
            pinned = image.copy()
            pinned.tag = digest_of(image)
            replacements[image] = pinned
    if not replacements:
        return False
    csv.replace_pullspecs_everywhere(replacements)
    if not csv.has_related_images():
        csv.set_related_images()
    return True


def ask(path):
    try:
        csv = OperatorCSV.from_file(str(path))
    except NotOperatorCSV:
        return None
    except Exception as error:  # what the library says is what is asked for
        return {"refused": type(error).__name__}
    try:
        found = [str(ImageName.parse(each.image)) for each in csv._named_pullspecs()]
        changed = pin(csv)
        related = [[each["name"], each["image"]] for each in csv.data["spec"].get("relatedImages") or []]
        return {"found": found, "changed": changed, "related": related}
    except Exception as error:
        return {"refused": type(error).__name__}


def main():
    root = pathlib.Path(sys.argv[1])
    paths = sorted(path for path in root.glob("*/*/manifests/**/*.y*ml") if b"ClusterServiceVersion" in path.read_bytes())
    with multiprocessing.Pool() as pool:
        answers = pool.map(ask, paths, chunksize=4)
    json.dump({str(path.relative_to(root)): answer for path, answer in zip(paths, answers) if answer}, sys.stdout)


main()
