import java.io.File;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Counts slowly until it is stopped, with a keyed step behind an exchange; on every version of Flink from 1.18.
 *
 * <p>Arguments: the job's name; ms between two checkpoints, 0 for none; a file, upon which it fails once and removes it; its own
 * parameters, KEY=VALUE each.
 */
public class Counting {
  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    if (Long.parseLong(args[1]) > 0) {
      env.enableCheckpointing(Long.parseLong(args[1]));
    }
    env.getConfig().setGlobalJobParameters(new Parameters(Arrays.copyOfRange(args, 3, args.length)));
    String fails = args[2];
    env.fromSequence(0, Long.MAX_VALUE - 1)
        .map(n -> slowly(n, fails))
        .returns(Types.LONG)
        .keyBy(n -> n % 10)
        .map(n -> n + 1)
        .returns(Types.LONG)
        .name("add one");
    env.execute(args[0]);
  }

  private static long slowly(long n, String fails) throws Exception {
    Thread.sleep(20);
    if (!fails.isEmpty() && new File(fails).delete()) {
      throw new IllegalStateException("asked to fail");
    }
    return n;
  }

  private static final class Parameters extends ExecutionConfig.GlobalJobParameters {
    private final TreeMap<String, String> values = new TreeMap<>();

    Parameters(String[] words) {
      for (String word : words) {
        values.put(word.substring(0, word.indexOf('=')), word.substring(word.indexOf('=') + 1));
      }
    }

    @Override
    public Map<String, String> toMap() {
      return values;
    }
  }
}
