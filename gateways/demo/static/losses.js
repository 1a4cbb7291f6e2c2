// Counts what a page was told: in all, after times without a connection, and what is missing.
//
// A message is recovered when it was published before the connection was back. That is said by the clock of the
// machine that published: its time at the last message before, and so much more as has gone by here.

export function watchLosses(subscriptions, show) {
  const count = { received: 0, recovered: 0, lost: 0, last: null }; // `last`: of the last time without a connection
  let newest = -Infinity; // when it was published, in seconds
  let arrived = 0; // when it came here
  let back = -Infinity; // the publisher's time when the connection was back

  for (const subscription of subscriptions) {
    subscription.on("gap", ({ lost }) => {
      count.lost = lost === null || count.lost === null ? null : count.lost + lost; // null: nobody knows how many
      if (count.last) count.last.complete = false;
      show(count);
    });
    subscription.on("state", ({ state, recovered }) => {
      if (state === "subscribing") count.last = { recovered: 0, complete: true };
      if (recovered !== undefined) back = newest + (performance.now() - arrived) / 1000;
    });
  }

  return {
    count(time) {
      count.received += 1;
      if (time <= back) {
        count.recovered += 1;
        count.last.recovered += 1;
      } else if (time > newest) [newest, arrived] = [time, performance.now()];
      show(count);
    },
    late: (time) => time <= back,
  };
}
