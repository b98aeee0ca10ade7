{{/* Chats with every model, as a stream and as JSON, until each has answered; says what the last try met. */}}
{{- define "tidegate.tests.chat" -}}
import json, os, sys, time
from http.client import HTTPException
from serving.cli.chat_stream import ChatFailed, Endpoint, ask
from serving.cli.probe import connect

url, secret, key = os.environ["CHAT_URL"], os.environ["CHAT_SECRET"], os.environ.get("CHAT_KEY")
deadline = time.monotonic() + float(os.environ["CHAT_SECONDS"])
asked = [{"role": "user", "content": "Say hello in one short sentence."}]

def stream(model):
    pieces = []
    ask(Endpoint(url, key, model), asked, pieces.append)
    return "".join(pieces)

def whole(model):
    connection, path = connect(url, 300)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    body = json.dumps({"model": model, "messages": asked, "max_tokens": 32})
    connection.request("POST", f"{path}/chat/completions", body, headers)
    response = connection.getresponse()
    text = response.read().decode()
    if response.status != 200:
        raise ChatFailed(f"{response.status}: {text[:300]}")
    return json.loads(text)["choices"][0]["message"]["content"]

def answer(model, way):
    while True:
        try:
            text = way(model)
            if text:
                return text
            problem = "the answer is empty"
        except (ChatFailed, OSError, HTTPException, ValueError, KeyError) as error:
            problem = str(error)
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
