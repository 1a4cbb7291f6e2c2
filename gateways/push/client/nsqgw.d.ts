// Types of nsqgw.js. Times are in seconds.

export type State = "disconnected" | "connecting" | "connected";
export type SubscriptionState = "unsubscribed" | "subscribing" | "subscribed";
export type Transport = "websocket" | "sse" | "poll";

/** What a subscription's filter wants of a field, named by its path with dots: a value, one of several, or a beginning. */
export type Wanted = string | number | boolean | null | Array<string | number | boolean | null> | { prefix: string };

/** A position; for a pattern one by channel. */
export type Positions = string | Record<string, string>;

export interface Options {
  /**
   * Gives the token to show, or null where there is none to be had: then the client disconnects for good. `reason` is
   * "connect", "expired" after the gateway refused the last one as expired, "refresh" before one expires.
   */
  getToken?: ((reason: "connect" | "expired" | "refresh") => string | null | Promise<string | null>) | null;
  /** The ways to the gateway that may be tried, in this order; all by default. */
  transports?: Transport[];
  /** Keeps positions, and the transport that worked, over reloads: `sessionStorage`, or what has its two methods. */
  storage?: Pick<Storage, "getItem" | "setItem"> | null;
  /** The least pause before a new try; 0.5. */
  minDelay?: number;
  /** The longest; 20. */
  maxDelay?: number;
  /** A connection that lasted so long was a good one: pauses start anew; 5. */
  stableAfter?: number;
  /** For the gateway's first word on a connection; 5. */
  handshakeTimeout?: number;
  /** For an answer to a request, and for getToken; 10. */
  timeout?: number;
  /** A gateway that says nothing for the interval of its pings and so long is taken for dead; 10. */
  grace?: number;
  /** A page hidden for so long gives up its connection until somebody looks; Infinity. */
  hiddenTimeout?: number;
  /** Requests that may wait for a connection; 100. */
  maxQueue?: number;
}

export interface SubscribeOptions {
  /** Where to begin: a position, or "oldest" for all that is kept; by default with what comes. */
  since?: Positions;
  /** Only messages whose JSON has all of these. */
  filter?: Record<string, Wanted>;
  /** Be told who joins and leaves; takes a WebSocket. */
  presence?: boolean;
}

export interface StateEvent {
  state: State;
  /** The code and reason of the close before; 0 and "" where there is none. */
  code?: number;
  reason?: string;
  /** Until the next try. */
  seconds?: number;
  transport?: Transport;
}

export interface SubscriptionStateEvent {
  state: SubscriptionState;
  /** Whether all that was missed follows; unknown by streams and polls, and where nothing was asked for. */
  recovered?: boolean;
  /** Why the gateway ended the subscription. */
  error?: PushError;
}

export interface Message {
  channel: string;
  /** What to show to go on after this message. */
  position: string;
  /** The same wherever and whenever this message comes. */
  key: string;
  /** Bytes where the message is no UTF-8. */
  data: string | Uint8Array;
}

export interface Gap {
  channel: string;
  /** So many messages are missing here; null where nobody knows. */
  lost: number | null;
}

export interface Presence {
  channel: string;
  client: string;
}

export interface ClientEvents {
  state: StateEvent;
  error: unknown;
}

export interface SubscriptionEvents {
  state: SubscriptionStateEvent;
  message: Message;
  gap: Gap;
  join: Presence;
  leave: Presence;
}

export class PushError extends Error {
  /** Of the protocol's error or close; 0 for the client's own. */
  readonly code: number;
  /** Whether the same may succeed later. */
  readonly temporary: boolean;
  /** Whether it may have been done all the same: the answer was lost. */
  readonly unknown: boolean;
}

declare class Emitter<Events> {
  on<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): this;
  off<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): this;
}

export class Subscription extends Emitter<SubscriptionEvents> {
  private constructor();
  readonly channel: string;
  /** Whether it is for all channels that begin like this one, whose name ends in `*`. */
  readonly pattern: boolean;
  readonly state: SubscriptionState;
  readonly position: Positions | undefined;
  /** Until the gateway has confirmed it; rejects when it refuses, or the client disconnects. */
  ready(): Promise<void>;
  unsubscribe(): void;
}

export class Client extends Emitter<ClientEvents> {
  /** `url` is where the gateway is, relative to the page; its query goes with every request. */
  constructor(url: string | URL, options?: Options);
  readonly state: State;
  /** What carries the channels; null while there is no connection. */
  readonly transport: Transport | null;
  connect(): this;
  /** Ends the connection; subscriptions stay, and go on after another `connect`. */
  disconnect(): void;
  /** Until there is a connection; rejects when there will be none. */
  ready(): Promise<void>;
  /** Throws where the channel is subscribed to already. May be called before `connect`. */
  subscribe(channel: string, options?: SubscribeOptions): Subscription;
  /** Until nsqd has the message; waits for a connection. Takes a WebSocket. */
  publish(channel: string, data: string | Uint8Array | ArrayBuffer): Promise<void>;
  /** Who follows the channel: how many, and the names of the first thousand. Takes a WebSocket. */
  presence(channel: string): Promise<{ count: number; clients: string[] }>;
}
