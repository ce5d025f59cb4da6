"""A company's own service behind Parley: keeps what is said in calls, finds orders, calls an agent's attention.

    pip install --require-hashes -r requirements.txt
    HOOK_SECRET=whsec_… uvicorn backend:app --port 8000
    parley --hook-url http://127.0.0.1:8000/parley --hook-secret whsec_… --hook-events 'transcription:update' --hook-asks 'order:find'
"""
import os
from collections import OrderedDict, defaultdict

from fastapi import FastAPI, HTTPException, Request
from standardwebhooks import Webhook, WebhookVerificationError

app = FastAPI()
webhook = Webhook(os.environ["HOOK_SECRET"])
seen = OrderedDict()  # ids of events that were dealt with: delivery is at least once
calls = defaultdict(list)
ORDERS = {"7": {"item": "lamp", "status": "shipped"}}


@app.post("/parley")
async def parley(request: Request):
    try:
        message = webhook.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, str(error)) from error
    if message["type"] == "ask":
        return {"ack": find_order(message["data"]["data"])}
    return {"emit": [wish for event in message["data"] for wish in hear(event)]}


def find_order(question):
    order = ORDERS.get(str(question.get("order")))
    return {"ok": True, "order": order} if order else {"ok": False, "error": {"code": 404, "message": "no such order"}}


def hear(event):
    if event["id"] in seen:
        return
    seen[event["id"]] = True
    if len(seen) > 100_000:
        seen.popitem(last=False)
    line = event["data"]
    calls[event["call_id"]].append((line["speaker"], line["text"]))
    if "lawyer" in line["text"].lower():
        yield {"room": f"call:{event['call_id']}", "event": "crm:escalate", "data": {"call_id": event["call_id"]}}


@app.get("/calls/{call_id}")
def said(call_id: str):
    return calls[call_id]
