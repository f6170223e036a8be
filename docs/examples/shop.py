#!/usr/bin/env python3
"""A shop: a fresh address for each order, and a line as soon as it is paid. `shop.py DATA_DIR tea=1.25 cake=3`, with the data folder of
a running node of this machine. A connection that ends is made again, and what became final meanwhile is not missed."""
import base64, json, os, socket, struct, sys, time, urllib.request
from decimal import Decimal

FOLDER, ORDERS = sys.argv[1], dict(word.split("=") for word in sys.argv[2:])


def node():
    """Where the node listens, and how to show who asks: both change when it is started again."""
    read = lambda name: open(os.path.join(FOLDER, name)).read().strip()
    return read("rpc.addr"), "Basic " + base64.b64encode(read(".cookie").encode()).decode()


def call(method, *params):
    address, login = node()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Authorization": login, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}/wallet/", body, headers), timeout=30) as answer:
        return json.load(answer)["result"]


class WebSocket:
    """As much of RFC 6455 as a client needs."""

    def __init__(self):
        address, login = node()
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=60)
        self.file, key = self.socket.makefile("rb"), base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /ws HTTP/1.1\r\nHost: {address}\r\nAuthorization: {login}\r\nConnection: Upgrade\r\n"
                             f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        if b" 101 " not in (status := self.file.readline()):
            raise OSError(f"no WebSocket: {status.decode().strip()}")
        while self.file.readline().strip():
            pass

    def send(self, data, kind=1):
        mask, size = os.urandom(4), len(data)
        head = struct.pack("!BB", 128 | kind, 128 | size) if size < 126 else struct.pack("!BBH", 128 | kind, 254, size)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def read(self):
        while head := self.file.read(2):
            kind, size = head[0] & 15, head[1] & 127
            size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big") if size > 125 else size
            data = self.file.read(size)
            if kind == 1:
                return json.loads(data, parse_float=Decimal)
            if kind == 8:
                raise OSError(data[2:].decode())
            if kind == 9:  # a ping: whoever does not answer is taken for gone
                self.send(data, 10)
        raise OSError("the node is gone")


cursor = str(call("getblockcount"))
due = {call("getnewaddress", order): [order, Decimal(price)] for order, price in ORDERS.items()}
for address, (order, price) in due.items():
    print(f"{order}: pay {price} TIME to {address}", flush=True)
while due:
    try:
        events = WebSocket()
        params = ["payments", {"addresses": list(due), "after": cursor}]
        events.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}).encode())
        if "error" in (answer := events.read()):
            raise OSError(answer["error"]["message"])
        while due:
            event = events.read()["params"]
            for paid in (one for one in event.get("received", []) if one["address"] in due):
                order = due[paid["address"]]
                print(f"{order[0]}: {paid['amount']} TIME {event['state']} {event.get('why', '')}".strip(), flush=True)
                order[1] -= paid["amount"] if event["state"] == "final" else 0
                if order[1] <= 0:
                    print(f"{due.pop(paid['address'])[0]}: paid", flush=True)
            cursor = event["cursor"]
    except (OSError, ValueError) as error:
        print(f"connection lost: {error}; again in a second", file=sys.stderr, flush=True)
        time.sleep(1)
