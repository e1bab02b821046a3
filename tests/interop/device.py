"""A device made of aiocoap: registers, is observed, observes, and moves large bodies block-wise.

Usage: device.py GATEWAY PROFILE PROOF
GATEWAY is a CoAP URI without a path; the device is lab-1, which needs no security. Posts the file PROFILE (SenML JSON) and
writes its proof to the file PROOF. Prints one line for each step that held; ends with 0 if all did.
"""

import asyncio
import sys

import aiocoap
from aiocoap import Code, Message, resource

EP = "lab-1"


class Switch(resource.ObservableResource):
    """A switch that the gateway writes and observes."""

    rt = "switch"

    def __init__(self):
        super().__init__()
        self.value = b"off"
        self.writes = 0

    async def render_get(self, request):
        return Message(payload=self.value, content_format=0)

    async def render_put(self, request):
        self.value = request.payload
        self.writes += 1
        self.updated_state()
        return Message(code=Code.CHANGED, payload=self.value)


def say(*words):
    print(*words, flush=True)


async def ask(context, code, uri, **more):
    response = await asyncio.wait_for(context.request(Message(code=code, uri=uri, **more)).response, 60)
    assert response.code.is_successful(), f"{uri}: {response.code} {response.payload!r}"
    return response


async def register(context, gateway):
    links = b'</switch>;rt="switch";obs'
    uri = f"{gateway}/rd?ep={EP}&lt=120"
    response = await ask(context, Code.POST, uri, payload=links, content_format=40)
    say("registered", "/".join(response.opt.location_path))
    found = await ask(context, Code.GET, f"{gateway}/rd-lookup/res?ep={EP}")
    assert b"/switch" in found.payload, found.payload
    say("looked up")


async def observe(context, gateway, expected):
    """Observes its own switch as the gateway knows it."""
    uri = f"{gateway}/devices/{EP}/switch?ep={EP}"
    while True:
        request = context.request(Message(code=Code.GET, uri=uri, observe=0))
        first = await asyncio.wait_for(request.response, 60)
        if first.code.is_successful():
            break
        await asyncio.sleep(0.2)
    say("observing", first.payload.decode())
    async for notification in request.observation:
        say("observed", notification.payload.decode())
        if notification.payload == expected:
            request.observation.cancel()
            return


async def main(gateway, profile, proof):
    site, switch = resource.Site(), Switch()
    site.add_resource(["switch"], switch)
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", None))
    await register(context, gateway)
    # Somebody tells the gateway to switch it on.
    await asyncio.wait_for(observe(context, gateway, b"on"), 60)
    say("writes", switch.writes)
    with open(profile, "rb") as file:
        body = file.read()
    uri = f"{gateway}/readings?ep={EP}&seq=1"
    response = await ask(context, Code.POST, uri, payload=body, content_format=110)
    index = response.payload.decode()
    again = await ask(context, Code.POST, uri, payload=body, content_format=110)
    assert again.payload.decode() == index, "a repeat got another index"
    say("posted", len(body), "index", index)
    proved = await ask(context, Code.GET, f"{gateway}/readings/{index}/proof?ep={EP}")
    with open(proof, "wb") as file:
        file.write(proved.payload)
    say("proved", len(proved.payload))
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
