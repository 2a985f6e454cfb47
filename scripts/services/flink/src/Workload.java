import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * Workload KEY=VALUE...: a job whose load, and what is wrong with it, is set by its arguments; on Flink from 1.19.
 *
 * <p>One source, of one subtask, to which records come at a rate whether they are read or not; it reports how many wait. Then
 * a keyed step, which does the work of a record. Numbers are whole, unless said otherwise.
 *
 * <ul>
 *   <li>name: of the job
 *   <li>rate, backlog: records that come each second (200), and that wait at the start (0)
 *   <li>par: subtasks of the step (1)
 *   <li>cpu, wait: microseconds that a record computes, and that it waits for something that blocks (0)
 *   <li>hot: percent of the records that have the same key (0); the others have one of a thousand
 *   <li>garbage, held: bytes that a record allocates and forgets (0); megabytes of small objects that stay (0)
 *   <li>fail: seconds after which each attempt fails (0: never)
 *   <li>snapshot, timeout: milliseconds that the snapshot of each subtask takes (0), and after which a checkpoint fails
 * </ul>
 */
public class Workload {
  public static void main(String[] args) throws Exception {
    Map<String, String> given = new HashMap<>();
    for (String arg : args) {
      given.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
    }
    int hot = (int) number(given, "hot", 0);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    if (given.containsKey("timeout")) {
      env.getCheckpointConfig().setCheckpointTimeout(number(given, "timeout", 0));
    }
    env.fromSource(
            new Arrivals(number(given, "rate", 200), number(given, "backlog", 0)),
            WatermarkStrategy.noWatermarks(),
            "arrivals",
            Types.LONG)
        .setParallelism(1)
        .uid("arrivals")
        .keyBy(n -> Math.floorMod(n * 2654435761L, 100L) < hot ? 0L : 1 + n % 1000, Types.LONG)
        .map(new Work(given))
        .returns(Types.LONG)
        .setParallelism((int) number(given, "par", 1))
        .name("work")
        .uid("work")
        .sinkTo(new DiscardingSink<>())
        .setParallelism((int) number(given, "par", 1))
        .name("end")
        .uid("end");
    env.execute(given.getOrDefault("name", "workload"));
  }

  static long number(Map<String, String> given, String key, long otherwise) {
    return Long.parseLong(given.getOrDefault(key, String.valueOf(otherwise)));
  }

  /** What is done with each record. */
  static final class Work implements MapFunction<Long, Long>, CheckpointedFunction {
    private static final int SMALL = 256;
    private static byte[][] held; // one a job: its classes are its own

    private final long cpuNanos;
    private final long waitNanos;
    private final int garbage;
    private final int heldMegabytes;
    private final long failNanos;
    private final long snapshotMillis;
    private transient long begun;
    private transient byte[] forgotten;

    Work(Map<String, String> given) {
      cpuNanos = 1000 * number(given, "cpu", 0);
      waitNanos = 1000 * number(given, "wait", 0);
      garbage = (int) number(given, "garbage", 0);
      heldMegabytes = (int) number(given, "held", 0);
      failNanos = 1_000_000_000L * number(given, "fail", 0);
      snapshotMillis = number(given, "snapshot", 0);
    }

    @Override
    public Long map(Long n) {
      begun = begun == 0 ? System.nanoTime() : begun;
      if (failNanos > 0 && System.nanoTime() - begun > failNanos) {
        throw new IllegalStateException("asked to fail");
      }
      hold(heldMegabytes);
      for (int left = garbage; left > 0; left -= 1024) {
        forgotten = new byte[1024];
      }
      for (long end = System.nanoTime() + cpuNanos; System.nanoTime() < end; ) {
        Thread.onSpinWait();
      }
      for (long end = System.nanoTime() + waitNanos, left = waitNanos; left > 0; left = end - System.nanoTime()) {
        LockSupport.parkNanos(left);
      }
      return n;
    }

    private static synchronized void hold(int megabytes) {
      if (held == null && megabytes > 0) {
        held = new byte[megabytes * (1024 * 1024 / SMALL)][];
        for (int i = 0; i < held.length; i++) {
          held[i] = new byte[SMALL - 24]; // with its header, and its place in the array
        }
      }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws InterruptedException {
      Thread.sleep(snapshotMillis);
    }

    @Override
    public void initializeState(FunctionInitializationContext context) {}
  }

  /** All records: since when they come, and how many have been read. */
  static final class Records implements SourceSplit, Serializable {
    long sinceMs;
    volatile long read;

    Records(long sinceMs, long read) {
      this.sinceMs = sinceMs;
      this.read = read;
    }

    @Override
    public String splitId() {
      return "records";
    }
  }

  static final class RecordsSerializer implements SimpleVersionedSerializer<Records> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(Records records) {
      return ByteBuffer.allocate(16).putLong(records.sinceMs).putLong(records.read).array();
    }

    @Override
    public Records deserialize(int version, byte[] bytes) {
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      return new Records(buffer.getLong(), buffer.getLong());
    }
  }

  /** Whether the one split still has to be handed out. */
  static final class BooleanSerializer implements SimpleVersionedSerializer<Boolean> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(Boolean value) {
      return new byte[] {(byte) (value ? 1 : 0)};
    }

    @Override
    public Boolean deserialize(int version, byte[] bytes) throws IOException {
      return bytes[0] == 1;
    }
  }

  static final class Arrivals implements Source<Long, Records, Boolean> {
    private final long rate;
    private final long backlog;

    Arrivals(long rate, long backlog) {
      this.rate = rate;
      this.backlog = backlog;
    }

    @Override
    public Boundedness getBoundedness() {
      return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SplitEnumerator<Records, Boolean> createEnumerator(SplitEnumeratorContext<Records> context) {
      return new Enumerator(context, true);
    }

    @Override
    public SplitEnumerator<Records, Boolean> restoreEnumerator(
        SplitEnumeratorContext<Records> context, Boolean unassigned) {
      return new Enumerator(context, unassigned);
    }

    @Override
    public SimpleVersionedSerializer<Records> getSplitSerializer() {
      return new RecordsSerializer();
    }

    @Override
    public SimpleVersionedSerializer<Boolean> getEnumeratorCheckpointSerializer() {
      return new BooleanSerializer();
    }

    @Override
    public SourceReader<Long, Records> createReader(SourceReaderContext context) {
      return new Reader(context, rate, backlog);
    }
  }

  static final class Enumerator implements SplitEnumerator<Records, Boolean> {
    private final SplitEnumeratorContext<Records> context;
    private boolean unassigned;
    private Records returned;

    Enumerator(SplitEnumeratorContext<Records> context, boolean unassigned) {
      this.context = context;
      this.unassigned = unassigned;
    }

    @Override
    public void start() {}

    @Override
    public void handleSplitRequest(int subtask, String host) {}

    @Override
    public void addSplitsBack(List<Records> splits, int subtask) {
      returned = splits.isEmpty() ? returned : splits.get(0);
      unassigned = true;
    }

    @Override
    public void addReader(int subtask) {
      if (unassigned) {
        context.assignSplit(returned != null ? returned : new Records(System.currentTimeMillis(), 0), subtask);
        unassigned = false;
      }
    }

    @Override
    public Boolean snapshotState(long checkpoint) {
      return unassigned;
    }

    @Override
    public void close() {}
  }

  static final class Reader implements SourceReader<Long, Records> {
    private final SourceReaderContext context;
    private final long rate;
    private final long backlog;
    private final ScheduledExecutorService timer =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "arrivals");
              thread.setDaemon(true);
              return thread;
            });
    private volatile Records records;

    Reader(SourceReaderContext context, long rate, long backlog) {
      this.context = context;
      this.rate = rate;
      this.backlog = backlog;
    }

    private long pending() {
      Records now = records;
      return now == null ? 0 : backlog + rate * (System.currentTimeMillis() - now.sinceMs) / 1000 - now.read;
    }

    @Override
    public void start() {
      context.metricGroup().setPendingRecordsGauge(this::pending);
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Long> output) {
      if (pending() <= 0) {
        return InputStatus.NOTHING_AVAILABLE;
      }
      output.collect(records.read++);
      return pending() > 0 ? InputStatus.MORE_AVAILABLE : InputStatus.NOTHING_AVAILABLE;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
      if (pending() > 0) {
        return CompletableFuture.completedFuture(null);
      }
      CompletableFuture<Void> later = new CompletableFuture<>();
      timer.schedule(() -> later.complete(null), 10, TimeUnit.MILLISECONDS);
      return later;
    }

    @Override
    public List<Records> snapshotState(long checkpoint) {
      return records == null ? List.of() : List.of(new Records(records.sinceMs, records.read));
    }

    @Override
    public void addSplits(List<Records> splits) {
      records = splits.get(0);
    }

    @Override
    public void notifyNoMoreSplits() {}

    @Override
    public void close() {
      timer.shutdownNow();
    }
  }
}
