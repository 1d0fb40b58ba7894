"""Sends events with the CloudEvents SDK, as its documentation shows.

Reads one JSON object from standard input, {"url", "sends": [{"api", "mode", "attributes", "data"}]}, and prints a
list of {"status", "body"}, in order. Events go out exactly as the SDK makes them.
"""

import json
import sys
from datetime import datetime

import requests
from cloudevents.core.bindings import http as current
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import conversion as former
from cloudevents.v1.http import CloudEvent as FormerCloudEvent


def made(send):
    attributes, data = send["attributes"], send["data"]
    if send["api"] == "v1":
        event = FormerCloudEvent(attributes, data)
        convert = {"binary": former.to_binary, "structured": former.to_structured}
        return convert[send["mode"]](event)
    time = datetime.fromisoformat(attributes["time"].replace("Z", "+00:00"))
    event = CloudEvent(attributes={**attributes, "time": time}, data=data)
    convert = {"binary": current.to_binary_event, "structured": current.to_structured_event}
    message = convert[send["mode"]](event)
    return message.headers, message.body


def main():
    order = json.load(sys.stdin)
    answers = []
    with requests.Session() as session:
        for send in order["sends"]:
            headers, body = made(send)
            answer = session.post(order["url"], data=body, headers=headers, timeout=250)
            answers.append({"status": answer.status_code, "body": answer.json()})
    json.dump(answers, sys.stdout)


main()
