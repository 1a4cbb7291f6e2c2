// What a program in TypeScript does with the client; compiled, not run. Lines marked @ts-expect-error have to be refused.

import { Client, type Gap, type Message, PushError, Subscription } from "../../../../gateways/push/client/nsqgw.js";

const client = new Client("https://push.example.org/", {
  getToken: async (reason) => (reason === "refresh" ? null : "token"),
  transports: ["websocket", "sse"],
  storage: sessionStorage,
  hiddenTimeout: 60,
});

const subscription: Subscription = client
  .subscribe("orders.*", { since: { "orders.eu": "oldest" }, filter: { "customer.tier": ["gold"], city: { prefix: "Ber" } } })
  .on("message", ({ channel, key, data }: Message) => console.log(channel.length, key, typeof data === "string" ? data : data.byteLength))
  .on("gap", ({ lost }: Gap) => console.log(lost === null ? "unknown" : lost + 1))
  .on("state", ({ state, recovered, error }) => console.log(state === "subscribed", recovered, error?.code));

client.on("state", ({ state, seconds }) => console.log(state, seconds?.toFixed(1)));
client.on("error", (error) => console.log(error instanceof PushError && error.temporary));

await client.connect().ready();
await client.publish("events", new Uint8Array([1]));
const { count, clients } = await client.presence("events");
console.log(count + clients.length, client.transport === "poll", subscription.position);

// @ts-expect-error
new Client("/", { retries: 3 });
// @ts-expect-error
client.on("message", () => {});
// @ts-expect-error
client.publish("events", { a: 1 });
// @ts-expect-error
new Subscription();
