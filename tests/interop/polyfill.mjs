// Promise.withResolvers exists from Node 22 on; js-libp2p needs it on Node 20.
// Preload with `node --import ./polyfill.mjs file.mjs`, or import it before anything else.
if (Promise.withResolvers === undefined) {
  Object.defineProperty(Promise, 'withResolvers', {
    configurable: true,
    writable: true,
    value: function withResolvers () {
      let resolve, reject
      const promise = new this((res, rej) => { resolve = res; reject = rej })
      return { promise, resolve, reject }
    }
  })
}
