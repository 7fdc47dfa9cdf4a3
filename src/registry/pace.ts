/** What a transfer must keep to. */
export interface TransferLimits {
  /** Bytes per second, on average over each `window`. */
  minimumRate: number;
  /** Milliseconds. */
  window: number;
  /** Milliseconds for the whole transfer. */
  total: number;
}

/** Watches a transfer; only time in which the other side is waited for counts against its rate. */
export interface Pace {
  /** The other side is waited for. */
  wait(): void;
  /** So many bytes have come, or gone; now it is our turn. */
  moved(bytes: number): void;
  end(): void;
}

/**
 * @param tooSlow called once, with what is wrong: `moved fewer than 1024 bytes per second in 60 s`
 */
export function startPace({ minimumRate, window, total }: TransferLimits, tooSlow: (what: string) => void): Pace {
  let bytes = 0;
  let waited = 0;
  let since = 0;
  let timer: NodeJS.Timeout | undefined;
  const whole = setTimeout(() => {
    end();
    tooSlow(`did not end within ${total / 1000} s`);
  }, total);

  function look(): void {
    if (bytes < (minimumRate * window) / 1000) {
      end();
      tooSlow(`moved fewer than ${minimumRate} bytes per second in ${window / 1000} s`);
      return;
    }
    bytes = 0;
    waited = 0;
    since = performance.now();
    timer = setTimeout(look, window);
  }

  function end(): void {
    clearTimeout(timer);
    clearTimeout(whole);
  }

  return {
    wait() {
      since = performance.now();
      timer = setTimeout(look, Math.max(0, window - waited));
    },
    moved(count) {
      clearTimeout(timer);
      waited += performance.now() - since;
      bytes += count;
    },
    end,
  };
}
