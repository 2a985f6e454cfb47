import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.ha.HAServiceProtocol.HAServiceState;
import org.apache.hadoop.ha.HAServiceProtocol.RequestSource;
import org.apache.hadoop.ha.HAServiceProtocol.StateChangeRequestInfo;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.server.datanode.DataNode;
import org.apache.hadoop.hdfs.server.namenode.NameNode;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;

/**
 * One or two NameNodes and a DataNode in one JVM; the configuration is on the class path, state below args[0].
 *
 * <p>args[1] is the port that answers, by GET: /active/N makes NameNode N (1 or 2) the active one and the other, where
 * it runs, the standby; /kill/N and /up/N end and start NameNode N; /state tells them apart.
 */
public final class Hdfs {
  private static final StateChangeRequestInfo BY_HAND = new StateChangeRequestInfo(RequestSource.REQUEST_BY_USER_FORCED);

  private final Path directory;
  private final NameNode[] nodes;
  private final boolean pair;

  private Hdfs(Path directory, int count) {
    this.directory = directory;
    this.nodes = new NameNode[count];
    this.pair = count > 1;
  }

  public static void main(String[] args) throws Exception {
    DefaultMetricsSystem.setMiniClusterMode(true); // several daemons in one JVM
    Configuration conf = new HdfsConfiguration();
    int count = conf.get("dfs.nameservices") == null ? 1 : 2;
    Hdfs hdfs = new Hdfs(Path.of(args[0]), count);
    hdfs.format();
    for (int n = 1; n <= count; n++) {
      hdfs.up(n);
    }
    hdfs.active(1);
    DataNode dataNode = DataNode.createDataNode(new String[0], conf);
    while (!dataNode.isDatanodeFullyStarted() || !Stream.of(hdfs.nodes).allMatch(Hdfs::ready)) {
      Thread.sleep(20);
    }
    FileSystem fs = FileSystem.get(conf);
    for (String name : new String[] {"/data", "/tmp", "/warehouse"}) {
      org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(name);
      if (fs.mkdirs(path)) {
        fs.setPermission(path, new FsPermission((short) 01777));
      }
    }
    hdfs.listen(Integer.parseInt(args[1]));
  }

  private Configuration configuration(int n) {
    Configuration conf = new HdfsConfiguration();
    if (pair) {
      conf.set("dfs.ha.namenode.id", "nn" + n);
    }
    return conf;
  }

  private void format() throws IOException {
    Path first = directory.resolve("name/nn1");
    if (Files.exists(first.resolve("current"))) {
      return;
    }
    Configuration conf = configuration(1);
    NameNode.initializeGenericKeys(conf, pair ? "lake" : null, pair ? "nn1" : null);
    NameNode.format(conf);
    if (pair) { // what `hdfs namenode -bootstrapStandby` does
      Path second = directory.resolve("name/nn2");
      try (Stream<Path> files = Files.walk(first)) {
        for (Path file : (Iterable<Path>) files::iterator) {
          Path copy = second.resolve(first.relativize(file));
          if (Files.isDirectory(file)) {
            Files.createDirectories(copy);
          } else {
            Files.copy(file, copy);
          }
        }
      }
    }
  }

  private synchronized void up(int n) throws IOException {
    if (nodes[n - 1] == null) {
      nodes[n - 1] = new NameNode(configuration(n));
    }
  }

  private synchronized void upAgain(int n) throws IOException, InterruptedException {
    up(n);
    while (!ready(nodes[n - 1])) { // the DataNode comes by itself, within its heartbeat
      Thread.sleep(20);
    }
  }

  private synchronized void kill(int n) {
    if (nodes[n - 1] != null) {
      nodes[n - 1].stop();
      nodes[n - 1] = null;
    }
  }

  private synchronized void active(int n) throws IOException {
    if (!pair) {
      return;
    }
    NameNode other = nodes[2 - n];
    if (other != null) {
      other.getRpcServer().transitionToStandby(BY_HAND);
    }
    if (nodes[n - 1] == null) {
      throw new IOException("NameNode " + n + " does not run");
    }
    nodes[n - 1].getRpcServer().transitionToActive(BY_HAND);
  }

  private static boolean ready(NameNode node) {
    // A DataNode that has registered takes blocks only after its first heartbeat, which tells its space.
    return node.getNamesystem().getCapacityRemaining() > 0 && !node.getNamesystem().isInSafeMode();
  }

  private synchronized String state() throws IOException {
    StringBuilder text = new StringBuilder();
    for (NameNode node : nodes) {
      if (node == null) {
        text.append("down\n");
      } else {
        text.append(pair ? node.getRpcServer().getServiceStatus().getState() : HAServiceState.ACTIVE).append('\n');
      }
    }
    return text.toString();
  }

  private String obey(String path) throws IOException, InterruptedException {
    String[] words = path.substring(1).split("/");
    int n = words.length > 1 ? Integer.parseInt(words[1]) : 0;
    switch (words[0]) {
      case "active":
        active(n);
        break;
      case "kill":
        kill(n);
        break;
      case "up":
        upAgain(n);
        break;
      case "state":
        break;
      default:
        throw new IOException("unknown: " + path);
    }
    return state();
  }

  private void listen(int port) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 0);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", exchange -> {
      int status = 200;
      String answer;
      try {
        answer = obey(exchange.getRequestURI().getPath());
      } catch (Exception error) {
        error.printStackTrace();
        status = 500;
        answer = error + "\n";
      }
      byte[] bytes = answer.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, bytes.length);
      exchange.getResponseBody().write(bytes);
      exchange.close();
    });
    server.start();
  }
}
