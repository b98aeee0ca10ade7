{{/* Chats with every model, as a stream and as JSON, until each has answered; says what the last try met. */}}
{{- define "tidegate.tests.chat" -}}
import json, os, sys, time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

url, secret, key = os.environ["CHAT_URL"], os.environ["CHAT_SECRET"], os.environ.get("CHAT_KEY")
deadline = time.monotonic() + float(os.environ["CHAT_SECONDS"])
asked = [{"role": "user", "content": "Say hello in one short sentence."}]

def ask(model, stream):
    """The open answer; an error answer raises."""
    to = urlsplit(url)
    connection = HTTPConnection(to.hostname, to.port, timeout=120)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    body = {"model": model, "messages": asked, "max_tokens": 32, "stream": stream}
    connection.request("POST", f"{to.path}/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise ValueError(f"{response.status}: {response.read().decode()[:300]}")
    return response

def said(part):
    """A model that thinks first may not come to its answer within the limit."""
    return part.get("content") or part.get("reasoning_content") or part.get("reasoning") or ""

def whole(model):
    return said(json.load(ask(model, False))["choices"][0]["message"])

def stream(model):
    text = ""
    for line in ask(model, True):
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return text
        if line.startswith(b"data:"):
            event = json.loads(data)
            if "error" in event:
                raise ValueError(event["error"])
            text += "".join(said(choice["delta"]) for choice in event["choices"])
    raise ValueError("the stream broke off before its end")

def answer(model, way):
    while True:
        try:
            text = way(model)
            if text:
                return text
            problem = "the answer is empty"
        except (OSError, HTTPException, ValueError, KeyError) as error:
            problem = str(error) or type(error).__name__
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: {model} does not answer ({way.__name__}) at {url}: {problem}")
        print(f"{model} ({way.__name__}): {problem}; trying again", flush=True)
        time.sleep(2)

if not key:
    sys.exit(f"FAILED: the Secret {secret} has no key api-key: add one that keys.yaml knows, for this test to chat with")
for model in os.environ["CHAT_MODELS"].split(","):
    for way in (stream, whole):
        print(f"{model} ({way.__name__}): {answer(model, way)!r}", flush=True)
{{- end -}}
