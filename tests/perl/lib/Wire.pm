package Wire;

# NSQ's V2 protocol on core modules: a socket, pack and unpack.

use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP ();

sub new {
    my ($class, $address) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 10) or die "$address: $@\n";
    binmode $socket;
    $socket->autoflush(1);
    my $self = bless { socket => $socket }, $class;
    $self->write('  V2');
    my $granted = $self->ask("IDENTIFY\n" . sized(JSON::PP::encode_json(
        { client_id => 'perl', hostname => 'perl.example', feature_negotiation => JSON::PP::true })));
    $self->{granted} = JSON::PP::decode_json($granted);
    return $self;
}

sub sized { return pack('N', length $_[0]) . $_[0] }

sub batch { return pack('N', scalar @_) . join '', map { sized($_) } @_ }

sub write {
    my ($self, $octets) = @_;
    print { $self->{socket} } $octets or die "write: $!\n";
}

sub exactly {
    my ($self, $size) = @_;
    my $octets = '';
    while (length $octets < $size) {
        my $got = read $self->{socket}, $octets, $size - length $octets, length $octets;
        die "nsqd closed the connection\n" unless $got;
    }
    return $octets;
}

# The next frame that is no heartbeat: its type and data.
sub frame {
    my ($self) = @_;
    while (1) {
        my ($size, $type) = unpack 'NN', $self->exactly(8);
        my $data = $self->exactly($size - 4);
        return ($type, $data) unless $type == 0 && $data eq '_heartbeat_';
        $self->write("NOP\n");
    }
}

sub ask {
    my ($self, $command) = @_;
    $self->write($command);
    my ($type, $data) = $self->frame;
    die "nsqd refused: $data\n" if $type;
    return $data;
}

sub message {
    my ($self) = @_;
    my ($type, $data) = $self->frame;
    die "no message but $type: $data\n" unless $type == 2;
    my ($tstamp, $attempts, $id) = unpack 'q> n a16', $data;
    return { tstamp => $tstamp, attempts => $attempts, message_id => $id, message => substr $data, 26 };
}

1;
