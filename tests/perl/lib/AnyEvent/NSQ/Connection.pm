package AnyEvent::NSQ::Connection;

# A stand-in with the interface of CPAN's module, for machines where that cannot be had.

use strict;
use warnings;
use AnyEvent::Handle;
use JSON::XS ();
use Scalar::Util 'weaken';

sub new {
    my ($class, %args) = @_;
    my $self = bless { error_cb => sub { warn "$_[1]\n" }, answers => [], %args }, $class;
    weaken(my $weak = $self);
    $self->{handle} = AnyEvent::Handle->new(
        connect          => [ $self->{host}, $self->{port} ],
        on_connect       => sub { $weak->_command('  V2'); $weak->{connect_cb}->($weak) },
        on_connect_error => sub { $weak->_failed("(connect) $_[1]") },
        on_error         => sub { $weak->_failed("(read) $_[2]") },
        on_read          => sub { $weak->_read($_[0]) },
    );
    return $self;
}

sub identify {
    my ($self, @pairs) = @_;
    my $cb       = pop @pairs;
    my $document = { client_id => $self->{client_id}, feature_negotiation => \1, @pairs };
    $self->_ask("IDENTIFY\n" . _sized(JSON::XS::encode_json($document)),
        sub { $self->{identify_info} = $_[1]; $cb->(@_) });
}

sub subscribe {
    my ($self, $topic, $channel, $cb) = @_;
    $self->{message_cb} = $cb;
    $self->{subscribed} = 1;
    $self->_ask("SUB $topic $channel\n", sub { });
}

sub publish {
    my ($self, $topic, @bodies) = @_;
    my $cb = ref $bodies[-1] eq 'CODE' || !defined $bodies[-1] ? pop @bodies : undef;
    my $command = @bodies == 1
        ? "PUB $topic\n" . _sized($bodies[0])
        : "MPUB $topic\n" . _sized(pack('N', scalar @bodies) . join '', map { _sized($_) } @bodies);
    $self->_ask($command, $cb || sub { });
}

sub disconnect {
    my ($self, $cb) = @_;
    my $end = sub {
        $cb->($self, @_) if $cb;
        $self->{handle}->on_drain(sub { $_[0]->destroy; $self->{disconnect_cb}->($self) });
    };
    $self->{subscribed} ? $self->_ask("CLS\n", $end) : $end->($self, {});
}

sub ready            { $_[0]->_command("RDY $_[1]\n") }
sub mark_as_done_msg { $_[0]->_command("FIN $_[1]{message_id}\n") }
sub requeue_msg      { $_[0]->_command("REQ $_[1]{message_id} " . ($_[2] || 0) . "\n") }
sub touch_msg        { $_[0]->_command("TOUCH $_[1]{message_id}\n") }

sub _sized { return pack('N', length $_[0]) . $_[0] }

sub _command { $_[0]{handle}->push_write($_[1]) }

sub _ask {
    my ($self, $command, $cb) = @_;
    push @{ $self->{answers} }, $cb;
    $self->_command($command);
}

sub _read {
    my ($self, $handle) = @_;
    $handle->push_read(
        chunk => 8,
        sub {
            my ($size, $type) = unpack 'NN', $_[1];
            $_[0]->unshift_read(chunk => $size - 4, sub { $self->_frame($type, $_[1]) });
        });
}

sub _frame {
    my ($self, $type, $data) = @_;
    if ($type == 2) {
        my ($tstamp, $attempts, $id) = unpack 'q> n a16', $data;
        my $message =
            { tstamp => $tstamp, attempts => $attempts, message_id => $id, message => substr $data, 26 };
        return $self->{message_cb}->($self, $message);
    }
    return $self->_failed("error $data") if $type == 1;
    return $self->_command("NOP\n")      if $data eq '_heartbeat_';
    my $info = $data =~ /^\{/ ? JSON::XS::decode_json($data) : { msg => $data };
    (shift @{ $self->{answers} })->($self, $info);
}

sub _failed {
    my ($self, $error) = @_;
    $self->{handle}->destroy;
    $self->{error_cb}->($error, "host $self->{host} port $self->{port}: $error");
    $self->{disconnect_cb}->($self);
}

1;
